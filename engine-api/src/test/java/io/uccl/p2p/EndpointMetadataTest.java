package io.uccl.p2p;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EndpointMetadataTest {

  private static final long SEED = 20260802;

  private static byte[] bytes(String hex) {
    return HexFormat.of().parseHex(hex);
  }

  private static EndpointMetadata random(Random random) throws Exception {
    byte[] ip = new byte[random.nextBoolean() ? 4 : 16];
    random.nextBytes(ip);
    if (ip.length == 16 && random.nextInt(4) == 0) {
      // An IPv4-mapped address, which the JDK likes to turn into IPv4.
      Arrays.fill(ip, 0, 10, (byte) 0);
      Arrays.fill(ip, 10, 12, (byte) 0xff);
    }
    byte[] busId = new byte[random.nextInt(3) == 0 ? 0 : random.nextInt(256)];
    for (int i = 0; i < busId.length; i++) {
      busId[i] = (byte) (0x20 + random.nextInt(0x5f));
    }
    InetAddress address =
        ip.length == 16 ? Inet6Address.getByAddress(null, ip, -1) : InetAddress.getByAddress(ip);
    return new EndpointMetadata(
        address, random.nextInt(65536), new String(busId, StandardCharsets.US_ASCII));
  }

  @Test
  void readsAndWritesTheBytesOfTheCppEngine() throws Exception {
    AtomicInteger seen = new AtomicInteger();
    for (JsonNode golden : Golden.get("endpoint_metadata")) {
      byte[] bytes = Golden.hex(golden, "hex");
      InetAddress ip = InetAddress.getByName(golden.get("ip").textValue());
      EndpointMetadata expected =
          new EndpointMetadata(ip, golden.get("port").intValue(), golden.get("bus_id").textValue());

      assertThat(EndpointMetadata.decode(bytes)).isEqualTo(expected);
      assertThat(expected.encode()).isEqualTo(bytes);
      seen.incrementAndGet();
    }
    assertThat(seen).hasValue(3);
  }

  @Test
  void aBlobThatFitsBothVersionsIsFourIfTheBusIdIsPrintable() {
    // 10.1.2.3:47001 with a bus id of 12 characters, and byte 18 being 0: total 19 = 19 + 0.
    byte[] both = bytes("0a010203b7990c" + "303030303a30313a30302e00");
    byte[] four = bytes("0a010203b7990d" + "303030303a30313a30302e3030");

    assertThat(EndpointMetadata.decode(four).address()).isInstanceOf(Inet4Address.class);
    assertThat(EndpointMetadata.decode(both).address()).isInstanceOf(Inet6Address.class);
  }

  @Test
  void anIpv6AddressWhoseByte6LooksLikeACountIsStillIpv6() {
    // Byte 6 is 0x18 = 24 = 31 - 7: the C++ parser takes this for IPv4.
    byte[] bytes = bytes("fd00000000001800000000000000000" + "1b7990c303030303a30313a30302e30");
    assertThat(bytes).hasSize(31);

    EndpointMetadata decoded = EndpointMetadata.decode(bytes);

    assertThat(decoded.address()).isInstanceOf(Inet6Address.class);
    assertThat(decoded.port()).isEqualTo(47001);
    assertThat(decoded.busId()).isEqualTo("0000:01:00.0");
    assertThat(decoded.encode()).isEqualTo(bytes);
  }

  @Test
  void aBlobThatIsBothAndPrintableIsIpv4AsInTheCppEngine() {
    // Total 83: 7 + 76, and byte 18 is 64 = '@'.
    byte[] bytes = new byte[83];
    Arrays.fill(bytes, (byte) '@');
    bytes[6] = 76;

    EndpointMetadata decoded = EndpointMetadata.decode(bytes);

    assertThat(decoded.address()).isInstanceOf(Inet4Address.class);
    assertThat(decoded.encode()).isEqualTo(bytes);
  }

  @Test
  void whatIsEncodedIsDecodedAndWhatIsPrintedIsParsed() throws Exception {
    Random random = new Random(SEED);
    for (int i = 0; i < 20_000; i++) {
      EndpointMetadata metadata = random(random);
      EndpointMetadata parsed = EndpointMetadata.parse(metadata.toString());
      assertThat(parsed).as("seed %d, round %d", SEED, i).isEqualTo(metadata);

      EndpointMetadata decoded = EndpointMetadata.decode(metadata.encode());
      assertThat(decoded.encode())
          .as("seed %d, round %d, %s", SEED, i, metadata)
          .isEqualTo(metadata.encode());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0a010203b79900, 10.1.2.3:47001",
    "0a010203b7990c303030303a30313a30302e30, 10.1.2.3:47001?0000:01:00.0",
    "fd000000000000000000000000000001000100, [fd00:0:0:0:0:0:0:1]:1",
    "00000000000000000000ffff01020304ffff00, [0:0:0:0:0:ffff:102:304]:65535",
  })
  void thePrintedFormIsIpPortBusId(String hex, String printed) {
    EndpointMetadata metadata = EndpointMetadata.decode(bytes(hex));

    assertThat(metadata).hasToString(printed);
    assertThat(EndpointMetadata.parse(printed)).isEqualTo(metadata);
    assertThat(EndpointMetadata.parse(printed).encode()).isEqualTo(bytes(hex));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "1.2.3.4",
        "1.2.3.4:",
        ":1",
        "1.2.3.4:65536",
        "1.2.3.4:99999",
        "1.2.3.4:-1",
        "1.2.3:1",
        "1.2.3.4.5:1",
        "999.1.1.1:1",
        "256.0.0.1:1",
        "010.1.1.1:1",
        "host:1",
        "localhost:1",
        "[localhost]:1",
        "[1.2.3.4]:1",
        "[]:1",
        "[.:1]:1",
        "[fe]:1",
        "[::1",
        "::1:1",
        "[::g]:1",
        "[1::2::3]:1",
        "[fe80::1%lo]:1",
        "1.2.3.4:1?\u00e9",
        "1.2.3.4:1?a\nb",
      })
  void textThatIsNotOfThatFormIsRefused(String text) {
    assertThatThrownBy(() -> EndpointMetadata.parse(text))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void portAndBusIdAreChecked() {
    InetAddress ip = InetAddress.getLoopbackAddress();
    assertThatThrownBy(() -> new EndpointMetadata(ip, -1, ""))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new EndpointMetadata(ip, 65536, ""))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new EndpointMetadata(ip, 1, "a".repeat(256)))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new EndpointMetadata(ip, 1, "\u00fc"))
        .isInstanceOf(IllegalArgumentException.class);
    EndpointMetadata longest = new EndpointMetadata(ip, 65535, "a".repeat(255));
    assertThat(EndpointMetadata.decode(longest.encode())).isEqualTo(longest);
  }

  @Test
  void aNameAndAScopeAreLeftOut() throws Exception {
    byte[] linkLocal = bytes("fe800000000000000000000000000001");
    InetAddress scoped = Inet6Address.getByAddress("name", linkLocal, 1);

    EndpointMetadata metadata = new EndpointMetadata(scoped, 1, "");

    assertThat(metadata).hasToString("[fe80:0:0:0:0:0:0:1]:1");
    assertThat(metadata.socketAddress().getHostString()).isEqualTo("fe80:0:0:0:0:0:0:1");
  }

  @Test
  @Tag("prove")
  @Tag("decoders")
  void decodingBadBytesThrowsOnlyIllegalArgument() throws Exception {
    Random random = new Random(SEED);
    int refused = 0;
    for (int i = 0; i < Mutations.COUNT; i++) {
      byte[] bytes = Mutations.mutate(random, random(random).encode());
      try {
        EndpointMetadata decoded = EndpointMetadata.decode(bytes);
        assertThat(decoded.encode()).as("seed %d, round %d", SEED, i).isEqualTo(bytes);
      } catch (IllegalArgumentException e) {
        refused++;
      } catch (RuntimeException e) {
        throw new AssertionError("seed " + SEED + ", round " + i, e);
      }
    }
    assertThat(refused)
        .as("seed %d", SEED)
        .isBetween(Mutations.COUNT / 100, Mutations.COUNT / 100 * 99);
  }
}
