package io.uccl.p2p.transport.rdma;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.uccl.p2p.HandshakeException;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class VerbsParametersTest {

  private static final VerbsParameters TWO_OF_EACH =
      new VerbsParameters(
          List.of(
              new VerbsParameters.Nic(gid(1), 0, true, 5, 16, true, true),
              new VerbsParameters.Nic(gid(2), 0xFFFE, false, 3, 255, false, false)),
          List.of(
              new VerbsParameters.QueuePair(0, 0x112233, 0x445566),
              new VerbsParameters.QueuePair(1, 0xFFFFFF, 0)));

  private static ByteBuffer gid(int last) {
    byte[] gid = new byte[16];
    gid[15] = (byte) last;
    return ByteBuffer.wrap(gid);
  }

  @Test
  void bytesAreAsDrawn() {
    assertThat(HexFormat.of().formatHex(TWO_OF_EACH.encode()))
        .isEqualTo(
            "01000202"
                + "00000000000000000000000000000001"
                + "0000020510010100"
                + "00000000000000000000000000000002"
                + "feff0103ff000000"
                + "000000003322110066554400"
                + "01000000ffffff0000000000");
  }

  @Test
  void whatIsEncodedIsDecoded() {
    assertThat(VerbsParameters.decode(TWO_OF_EACH.encode())).isEqualTo(TWO_OF_EACH);
  }

  @Test
  void anotherVersionIsToldAsSuch() {
    byte[] other = TWO_OF_EACH.encode();
    other[0] = 2;
    assertThatExceptionOfType(HandshakeException.class)
        .isThrownBy(() -> VerbsParameters.decode(other))
        .withMessageContaining("version 2, not 1");
  }

  @Test
  void whatMakesNoSenseIsRefused() {
    refused(bytes -> bytes[2] = 0);
    refused(bytes -> bytes[3] = 0);
    refused(bytes -> bytes[3] = 3);
    refused(bytes -> bytes[4 + 18] = 3);
    refused(bytes -> bytes[4 + 19] = 6);
    refused(bytes -> bytes[4 + 19] = 0);
    refused(bytes -> bytes[4 + 48] = 2);
    refused(bytes -> bytes[4 + 48 + 7] = 1);
    refused(bytes -> bytes[4 + 48 + 11] = -1);
  }

  @Test
  void whatTheShimHasNoRoomForIsRefused() {
    List<VerbsParameters.Nic> nics = TWO_OF_EACH.nics();
    List<VerbsParameters.QueuePair> pairs = TWO_OF_EACH.queuePairs();
    byte[] fiveNics = new VerbsParameters(Collections.nCopies(5, nics.get(0)), pairs).encode();
    byte[] seventeenPairs =
        new VerbsParameters(nics, Collections.nCopies(17, pairs.get(0))).encode();
    for (byte[] bytes : List.of(fiveNics, seventeenPairs)) {
      assertThatExceptionOfType(HandshakeException.class)
          .isThrownBy(() -> VerbsParameters.decode(bytes))
          .withMessageContaining("make no sense");
    }
  }

  @Test
  void anIpv4AddressIsToldFromOthers() {
    assertThat(nic("00000000000000000000ffff0a000001").isIpv4()).isTrue();
    assertThat(nic("fe800000000000000000ffff0a000001").isIpv4()).isFalse();
    assertThat(nic("00000000000000000001ffff0a000001").isIpv4()).isFalse();
    assertThat(nic("00000000000000000000000000000000").isIpv4()).isFalse();
    assertThat(nic("00000000000000000000000000000000").hasAddress()).isFalse();
    assertThat(nic("00000000000000000000000000000001").hasAddress()).isTrue();
    assertThat(nic("fe800000000000000000000000000000").hasAddress()).isTrue();
  }

  @Test
  void aSubnetOfInfinibandIsTheFirstHalfOfTheAddress() {
    VerbsParameters.Nic one = nic("fe800000000000000000000000000001");
    assertThat(one.isInSubnetOf(nic("fe800000000000000000000000000002"))).isTrue();
    assertThat(one.isInSubnetOf(nic("fec00000000000000000000000000001"))).isFalse();
  }

  private static VerbsParameters.Nic nic(String gid) {
    return new VerbsParameters.Nic(
        ByteBuffer.wrap(HexFormat.of().parseHex(gid)), 0, true, 5, 16, true, true);
  }

  private interface Change {
    void apply(byte[] bytes);
  }

  private static void refused(Change change) {
    byte[] bytes = TWO_OF_EACH.encode();
    change.apply(bytes);
    assertThatExceptionOfType(HandshakeException.class)
        .isThrownBy(() -> VerbsParameters.decode(bytes))
        .withMessageContaining("make no sense");
  }

  @Test
  void anyBytesAreDecodedOrRefused() {
    Random random = new Random(17);
    for (int i = 0; i < 10_000; i++) {
      byte[] bytes = TWO_OF_EACH.encode();
      for (int change = random.nextInt(4); change >= 0; change--) {
        bytes[random.nextInt(bytes.length)] = (byte) random.nextInt();
      }
      decodedOrRefused(bytes);
      byte[] noise = new byte[random.nextInt(200)];
      random.nextBytes(noise);
      decodedOrRefused(noise);
    }
  }

  private static void decodedOrRefused(byte[] bytes) {
    VerbsParameters decoded;
    try {
      decoded = VerbsParameters.decode(bytes);
    } catch (HandshakeException e) {
      return;
    }
    assertThat(VerbsParameters.decode(decoded.encode())).isEqualTo(decoded);
  }
}
