package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.fasterxml.jackson.databind.JsonNode;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.Notification;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HandshakeTest {

  private static final long SEED = 20260803;
  private static final int CXI = 0x43584950;
  private static final int OTHER = 0x11223344;
  private static final Map<Integer, String> TRANSPORTS = Map.of(CXI, "cxi", OTHER, "other");

  private static Handshake decode(byte[] payload) {
    return Handshake.decode(ByteBuffer.wrap(payload), CXI, TRANSPORTS);
  }

  private static HandshakeException refusal(byte[] payload) {
    HandshakeException e = catchThrowableOfType(HandshakeException.class, () -> decode(payload));
    assertThat(e).isNotNull();
    assertThat(e.getMessage()).doesNotContain("\n");
    return e;
  }

  private static byte[] good() {
    return new Handshake(CXI, 2, 47002, new byte[] {1, 2, 3, 4}).encode();
  }

  @ParameterizedTest
  @ValueSource(strings = {"handshake_connecting_side", "handshake_answer"})
  void readsAndWritesTheBytesOfTheCppEngine(String name) {
    JsonNode golden = Golden.get(name);
    byte[] frame = Golden.hex(golden, "hex");
    byte[] payload = Arrays.copyOfRange(frame, 4, frame.length);
    Handshake expected =
        new Handshake(
            CXI,
            golden.get("gpu_index").intValue(),
            golden.get("oob_port").intValue(),
            Golden.hex(golden, "address_hex"));

    assertThat(decode(payload)).isEqualTo(expected);
    assertThat(expected.encode()).isEqualTo(payload);
    assertThat(ByteBuffer.wrap(frame).getInt()).isEqualTo(payload.length);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 8, 1024, 4000, 65535})
  void parametersOfAnyLengthThatFitsAreCarried(int n) {
    byte[] parameters = new byte[n];
    new Random(SEED).nextBytes(parameters);
    Handshake handshake = new Handshake(CXI, -1, 65535, parameters);

    assertThat(decode(handshake.encode()))
        .isEqualTo(handshake)
        .hasSameHashCodeAs(handshake)
        .isNotEqualTo(new Handshake(CXI, -1, 65534, parameters));
    assertThat(handshake.encode()).hasSize(16 + n);
  }

  @Test
  void partsThatDoNotFitAreNotEncoded() {
    assertThatThrownBy(() -> new Handshake(CXI, 0, 1, new byte[0]))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Handshake(CXI, 0, 1, new byte[65536]))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Handshake(CXI, 0, -1, new byte[1]))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> new Handshake(CXI, 0, 65536, new byte[1]))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @ParameterizedTest
  @CsvSource({"47002, 2, 0", "0, -1, 3", "65535, 2147483647, 7"})
  void decodingLeavesTheBufferAloneAndIgnoresItsOrder(int port, int gpu, int offset) {
    Handshake handshake = new Handshake(CXI, gpu, port, new byte[] {5});
    byte[] payload = handshake.encode();
    ByteBuffer buffer =
        ByteBuffer.allocate(offset + payload.length + 2).order(ByteOrder.BIG_ENDIAN);
    buffer.position(offset).put(payload).flip().position(offset);

    assertThat(Handshake.decode(buffer, CXI, TRANSPORTS)).isEqualTo(handshake);
    assertThat(buffer.position()).isEqualTo(offset);
    assertThat(buffer.order()).isEqualTo(ByteOrder.BIG_ENDIAN);
  }

  @Test
  void theMagicOfAnotherTransportIsCalledByItsName() {
    HandshakeException e = refusal(new Handshake(OTHER, 0, 1, new byte[4]).encode());

    assertThat(e.summary()).contains("transport other", "transport cxi", "0x11223344");
    assertThat(e.detail().remedy()).contains("UCCL_P2P_TRANSPORT");
  }

  @Test
  void aMagicThatNobodyKnowsIsShownAsNumberAndText() {
    HandshakeException e = refusal("SSH-2.0-OpenSSH".getBytes(StandardCharsets.US_ASCII));

    assertThat(e.summary()).contains("0x2d485353", "\"SSH-\"", "not of a known transport");
  }

  @Test
  void otherFramesAreCalledByTheirName() {
    Notification notification = Notification.of("n", new byte[1]);
    assertThat(refusal(ControlCodec.encode(notification)).summary()).contains("a notification");
    assertThat(refusal(ControlCodec.encodeReady()).summary()).contains("follows a handshake");
  }

  @Test
  void anotherVersionIsNamed() {
    byte[] payload = good();
    payload[4] = 2;
    assertThat(refusal(payload).summary()).contains("version 2");
    Arrays.fill(payload, 4, 8, (byte) 0xff);
    assertThat(refusal(payload).summary()).contains("version 4294967295");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3, 4, 15})
  void aFrameShorterThanAHeaderIsRefused(int length) {
    assertThat(refusal(Arrays.copyOf(good(), length)).summary())
        .contains("at least 17")
        .endsWith("has " + length);
  }

  @Test
  void aLengthThatDoesNotMatchIsRefused() {
    byte[] good = good();
    assertThat(refusal(Arrays.copyOf(good, 19)).summary()).contains("16 + 4", "19");
    assertThat(refusal(Arrays.copyOf(good, 21)).summary()).contains("16 + 4", "21");
    byte[] nothing = Arrays.copyOf(good, 16);
    nothing[14] = 0;
    assertThat(refusal(nothing).summary()).contains("no transport parameters");
    byte[] most = good();
    Arrays.fill(most, 14, 16, (byte) 0xff);
    assertThat(refusal(most).summary()).contains("16 + 65535");
  }

  @Test
  @Tag("prove")
  @Tag("decoders")
  void badBytesThrowOnlyHandshakeException() {
    Random random = new Random(SEED);
    int refused = 0;
    for (int i = 0; i < Mutations.COUNT; i++) {
      byte[] parameters = new byte[1 + random.nextInt(40)];
      random.nextBytes(parameters);
      Handshake handshake = new Handshake(CXI, random.nextInt(), random.nextInt(65536), parameters);
      byte[] bytes = Mutations.mutate(random, handshake.encode());
      try {
        assertThat(decode(bytes).encode()).as("seed %d, round %d", SEED, i).isEqualTo(bytes);
      } catch (HandshakeException e) {
        refused++;
      } catch (RuntimeException e) {
        throw new AssertionError("seed " + SEED + ", round " + i, e);
      }
    }
    assertThat(refused)
        .as("seed %d", SEED)
        .isBetween(Mutations.COUNT / 10, Mutations.COUNT / 10 * 9);
  }
}
