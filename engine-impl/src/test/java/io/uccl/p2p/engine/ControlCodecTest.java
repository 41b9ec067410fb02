package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.Notification;
import io.uccl.p2p.engine.ControlCodec.FrameKind;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ControlCodecTest {

  private static final long SEED = 20260805;
  private static final int CXI = 0x43584950;

  private static FrameKind kind(byte[] payload) {
    return ControlCodec.kind(ByteBuffer.wrap(payload), CXI);
  }

  private static byte[] payloadOf(byte[] frame) {
    assertThat(ByteBuffer.wrap(frame).getInt()).isEqualTo(frame.length - 4);
    return Arrays.copyOfRange(frame, 4, frame.length);
  }

  private static byte[] frameOf(byte[] payload) {
    return ByteBuffer.allocate(4 + payload.length).putInt(payload.length).put(payload).array();
  }

  private static byte[] hex(String text) {
    return HexFormat.of().parseHex(text);
  }

  /** The rule by which the captured messages were filled. */
  private static byte[] captured(int length) {
    byte[] message = new byte[length];
    for (int i = 0; i < length; i++) {
      message[i] = (byte) (1 + 131 * i + 17 * (i >> 8) + 7 * (i >> 16));
    }
    return message;
  }

  private static byte[] refused(String reason) {
    return ControlCodec.encodeRefused(reason);
  }

  private static String reason(byte[] payload) {
    return ControlCodec.decodeRefused(ByteBuffer.wrap(payload));
  }

  @Test
  void readsAndWritesTheNotificationsOfTheCppEngine() {
    int whole = 0;
    for (JsonNode golden : Golden.get("notifications")) {
      if (!golden.has("hex")) {
        continue;
      }
      byte[] payload = payloadOf(Golden.hex(golden, "hex"));
      Notification decoded = ControlCodec.decodeNotification(ByteBuffer.wrap(payload));

      assertThat(kind(payload)).isEqualTo(FrameKind.NOTIFICATION);
      assertThat(decoded.type()).isEqualTo(golden.get("type").intValue());
      assertThat(decoded.name()).isEqualTo(Golden.hex(golden, "name_hex"));
      if (golden.has("message_hex")) {
        assertThat(decoded.message()).isEqualTo(Golden.hex(golden, "message_hex"));
      } else {
        assertThat(decoded.message()).hasSize(golden.get("message_length").intValue());
      }
      assertThat(ControlCodec.encode(decoded)).isEqualTo(payload);
      whole++;
    }
    assertThat(whole).isEqualTo(4);
  }

  @Test
  void writesTheLongNotificationOfTheCppEngineToTheLastByte() throws Exception {
    int seen = 0;
    for (JsonNode golden : Golden.get("notifications")) {
      if (!golden.has("sha256_of_frame")) {
        continue;
      }
      Notification notification =
          Notification.of(
              golden.get("type").intValue(),
              Golden.hex(golden, "name_hex"),
              captured(golden.get("message_length").intValue()));
      byte[] frame = frameOf(ControlCodec.encode(notification));

      assertThat(frame).hasSize(golden.get("frame_length").intValue());
      assertThat(frame).startsWith(Golden.hex(golden, "first_bytes_hex"));
      assertThat(MessageDigest.getInstance("SHA-256").digest(frame))
          .isEqualTo(Golden.hex(golden, "sha256_of_frame"));
      assertThat(ControlCodec.decodeNotification(ByteBuffer.wrap(payloadOf(frame))))
          .isEqualTo(notification);
      seen++;
    }
    assertThat(seen).isEqualTo(1);
  }

  @Test
  void aNotificationOfSixtyFourMebibytesIsCarried() {
    byte[] message = new byte[Notification.MAX_FRAME_BYTES - Notification.HEADER_BYTES];
    message[message.length - 1] = 1;
    Notification notification = Notification.of(0, new byte[0], message);

    byte[] payload = ControlCodec.encode(notification);

    assertThat(payload.length).isEqualTo(FrameAssembler.MAX_PAYLOAD_BYTES);
    assertThat(ControlCodec.decodeNotification(ByteBuffer.wrap(payload)).equals(notification))
        .isTrue();
    byte[] longer = Arrays.copyOf(payload, payload.length + 1);
    ByteBuffer.wrap(longer).order(ByteOrder.LITTLE_ENDIAN).putInt(12, message.length + 1);
    assertThat(ControlCodec.isNotification(ByteBuffer.wrap(longer))).isFalse();
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0, true",
    "1, 0, false",
    "0, 1, false",
    "-1, 1, false",
    "-1, -1, false",
    "-2147483648, -2147483648, false",
    "-16, 16, false",
    "2147483647, 1, false",
  })
  void lengthsAreAddedInSixtyFourBits(int nameLength, int messageLength, boolean expected) {
    ByteBuffer payload =
        ByteBuffer.allocate(16)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putInt(ControlCodec.NOTIFICATION_MAGIC)
            .putInt(0)
            .putInt(nameLength)
            .putInt(messageLength)
            .flip();

    assertThat(ControlCodec.isNotification(payload)).isEqualTo(expected);
    assertThat(ControlCodec.kind(payload, CXI))
        .isEqualTo(expected ? FrameKind.NOTIFICATION : FrameKind.UNKNOWN);
  }

  @Test
  void aByteMoreOrLessIsNoNotification() {
    byte[] payload = ControlCodec.encode(Notification.of("name", new byte[3]));
    for (int length : new int[] {0, 3, 4, 15, 16, payload.length - 1, payload.length + 1}) {
      ByteBuffer other = ByteBuffer.wrap(Arrays.copyOf(payload, length));
      assertThat(ControlCodec.isNotification(other)).as("length %d", length).isFalse();
      assertThatThrownBy(() -> ControlCodec.decodeNotification(other))
          .isInstanceOf(IllegalArgumentException.class);
    }
    payload[0] ^= 1;
    assertThat(ControlCodec.isNotification(ByteBuffer.wrap(payload))).isFalse();
  }

  @Test
  void readyHasTheDocumentedBytes() {
    assertThat(ControlCodec.encodeReady()).isEqualTo(hex("5032504a01000000"));
    assertThat(kind(ControlCodec.encodeReady())).isEqualTo(FrameKind.READY);
  }

  @Test
  void heartbeatHasTheDocumentedBytes() {
    assertThat(ControlCodec.encodeHeartbeat()).isEqualTo(hex("5032504a03000000"));
    assertThat(kind(ControlCodec.encodeHeartbeat())).isEqualTo(FrameKind.HEARTBEAT);
  }

  @Test
  void refusedHasTheDocumentedBytes() {
    assertThat(refused("no\u00e9")).isEqualTo(hex("5032504a0200000004000000" + "6e6fc3a9"));
    assertThat(kind(refused("no\u00e9"))).isEqualTo(FrameKind.REFUSED);
    assertThat(reason(refused("no\u00e9"))).isEqualTo("no\u00e9");
    assertThat(kind(refused(""))).isEqualTo(FrameKind.REFUSED);
    assertThat(reason(refused(""))).isEmpty();
  }

  @Test
  void aReasonIsOneLineOfAThousandCharactersWhateverThePeerSends() {
    String smiley = "\ud83d\ude00";
    assertThat(reason(refused("a\nb\r\u0000\u0085c"))).isEqualTo("a b   c");
    assertThat(reason(refused(smiley.repeat(2000)))).isEqualTo(smiley.repeat(1000));

    byte[] hostile = new byte[12 + 100_000];
    Arrays.fill(hostile, (byte) '\n');
    ByteBuffer.wrap(hostile)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(ControlCodec.JVM_MAGIC)
        .putInt(2)
        .putInt(100_000);
    assertThat(reason(hostile)).isEqualTo(" ".repeat(1000));
    Arrays.fill(hostile, 12, hostile.length, (byte) 0xff);
    assertThat(reason(hostile)).isEqualTo("\ufffd".repeat(1000));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "5032504a",
        "5032504a010000",
        "5032504a0100000000",
        "5032504a01000100",
        "5032504a00000000",
        "5032504a0300000000",
        "5032504aff000000",
        "5032504a02000000",
        "5032504a0200000001000000",
        "5032504a0200000000000000ff",
        "5032504a02000000ffffffff",
        "5032504a02000100000000006e",
        "5032504b01000000",
      })
  void whateverIsNotWellFormedIsUnknown(String text) {
    assertThat(kind(hex(text))).isEqualTo(FrameKind.UNKNOWN);
    assertThatThrownBy(() -> reason(hex(text))).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void aHandshakeIsToldByItsMagicAlone() {
    byte[] payload = new Handshake(CXI, 0, 1, new byte[4]).encode();

    assertThat(kind(payload)).isEqualTo(FrameKind.HANDSHAKE);
    assertThat(kind(Arrays.copyOf(payload, 4))).isEqualTo(FrameKind.HANDSHAKE);
    assertThat(kind(Arrays.copyOf(payload, 3))).isEqualTo(FrameKind.UNKNOWN);
    assertThat(ControlCodec.kind(ByteBuffer.wrap(payload), CXI + 1)).isEqualTo(FrameKind.UNKNOWN);
  }

  @Test
  void tellingTheKindLeavesTheBufferAloneAndIgnoresItsOrder() {
    byte[] payload = ControlCodec.encode(Notification.of("n", new byte[5]));
    ByteBuffer buffer =
        ByteBuffer.allocate(payload.length + 9).position(3).put(payload).flip().position(3);

    assertThat(ControlCodec.kind(buffer, CXI)).isEqualTo(FrameKind.NOTIFICATION);
    assertThat(ControlCodec.decodeNotification(buffer).nameText()).isEqualTo("n");
    assertThat(buffer.position()).isEqualTo(3);
    assertThat(buffer.remaining()).isEqualTo(payload.length);
  }

  @Test
  @Tag("prove")
  @Tag("decoders")
  void badBytesAreToldApartAndDecodedWithoutAnUndocumentedException() {
    Random random = new Random(SEED);
    byte[][] good = {
      ControlCodec.encode(Notification.of(3, new byte[] {1, 2}, new byte[9])),
      ControlCodec.encodeReady(),
      ControlCodec.encodeHeartbeat(),
      ControlCodec.encodePiece(new byte[20], 10, 10),
      ControlCodec.encodeAck(3),
      refused("some reason"),
      new Handshake(CXI, 0, 1, new byte[4]).encode(),
    };
    Map<FrameKind, Integer> seen = new EnumMap<>(FrameKind.class);
    for (int i = 0; i < Mutations.COUNT; i++) {
      byte[] bytes = Mutations.mutate(random, good[random.nextInt(good.length)]);
      ByteBuffer payload = ByteBuffer.wrap(bytes);
      try {
        FrameKind kind = ControlCodec.kind(payload, CXI);
        seen.merge(kind, 1, Integer::sum);
        decodeAll(bytes, kind, i);
      } catch (RuntimeException e) {
        throw new AssertionError("seed " + SEED + ", round " + i, e);
      }
    }
    assertThat(seen).as("seed %d", SEED).containsOnlyKeys(FrameKind.values());
    assertThat(seen.values()).as("seed %d", SEED).allMatch(count -> count > 10);
  }

  /** Every decoder meets every kind of frame, and takes exactly its own. */
  private static void decodeAll(byte[] bytes, FrameKind kind, int round) {
    ByteBuffer payload = ByteBuffer.wrap(bytes);
    boolean notification = true;
    try {
      Notification decoded = ControlCodec.decodeNotification(payload);
      assertThat(ControlCodec.encode(decoded)).isEqualTo(bytes);
    } catch (IllegalArgumentException e) {
      notification = false;
    }
    boolean refused = true;
    try {
      assertThat(ControlCodec.decodeRefused(payload)).doesNotContain("\n");
    } catch (IllegalArgumentException e) {
      refused = false;
    }
    boolean handshake = true;
    try {
      assertThat(Handshake.decode(payload, CXI, Map.of())).isNotNull();
    } catch (HandshakeException e) {
      handshake = false;
    }
    String where = "seed " + SEED + ", round " + round;
    assertThat(notification).as(where).isEqualTo(kind == FrameKind.NOTIFICATION);
    assertThat(refused).as(where).isEqualTo(kind == FrameKind.REFUSED);
    assertThat(handshake && kind != FrameKind.HANDSHAKE).as(where).isFalse();
  }
}
