package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Notification;
import io.uccl.p2p.engine.ControlCodec.FrameKind;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class NotificationPiecesTest {

  private static final int PIECE = NotificationPieces.PIECE_BYTES;

  private final NotificationPieces pieces = new NotificationPieces();

  private static byte[] encoded(int frameBytes) {
    byte[] message = new byte[frameBytes - Notification.HEADER_BYTES];
    new Random(frameBytes).nextBytes(message);
    return ControlCodec.encode(Notification.of(7, new byte[0], message));
  }

  private static ByteBuffer piece(byte[] whole, int offset, int length) {
    return ByteBuffer.wrap(ControlCodec.encodePiece(whole, offset, length));
  }

  @ParameterizedTest
  @ValueSource(ints = {PIECE + 1, 2 * PIECE, 2 * PIECE + 1, 5_000_000, 64 << 20})
  void aLongNotificationIsTheSameAfterItWasCut(int size) throws ProtocolException {
    byte[] whole = encoded(size);
    List<byte[]> frames = NotificationPieces.cut(whole);
    assertThat(frames).hasSize((size + PIECE - 1) / PIECE);
    Notification result = null;
    for (byte[] frame : frames) {
      assertThat(result).isNull();
      assertThat(ControlCodec.kind(ByteBuffer.wrap(frame), 1)).isEqualTo(FrameKind.PIECE);
      result = pieces.add(ByteBuffer.wrap(frame));
    }
    assertThat(ControlCodec.encode(result)).isEqualTo(whole);
    assertThat(pieces.isUnderWay()).isFalse();
  }

  @Test
  void upToAPieceANotificationIsNotCut() {
    byte[] whole = encoded(PIECE);
    assertThat(NotificationPieces.cut(whole)).containsExactly(whole);
  }

  @Test
  void aPieceHasTheDocumentedBytes() {
    byte[] whole = HexFormat.of().parseHex("0102030405");
    assertThat(ControlCodec.encodePiece(whole, 2, 3))
        .isEqualTo(HexFormat.of().parseHex("5032504a040000000500000002000000030405"));
    assertThat(ControlCodec.encodeAck(0x0102030405060708L))
        .isEqualTo(HexFormat.of().parseHex("5032504a050000000807060504030201"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "5032504a040000000500000002000000", // no bytes
        "5032504a04000000050000000300000003040506", // beyond the total
        "5032504a0400000001000004000000000a", // a total of over 64 MiB
        "5032504a04000000ffffffff000000000a",
        "5032504a0400000005000000ffffffff0a",
        "5032504a04000000",
        "5032504a05000000",
        "5032504a0500000001020304050607",
      })
  void piecesAndAcknowledgementsThatCannotBeAreUnknown(String hex) {
    ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
    assertThat(ControlCodec.kind(bytes, 1)).isEqualTo(FrameKind.UNKNOWN);
  }

  @Test
  void aPieceThatIsNotTheNextOneIsAnError() throws ProtocolException {
    byte[] whole = encoded(100);
    assertThatThrownBy(() -> pieces.add(piece(whole, 10, 10)))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("byte 10 of a notification of 100 came where byte 0 is due");
    pieces.add(piece(whole, 0, 10));
    for (int offset : new int[] {0, 9, 11}) {
      assertThatThrownBy(() -> pieces.add(piece(whole, offset, 10)))
          .isInstanceOf(ProtocolException.class)
          .hasMessageContaining("byte 10 of one of 100 is due");
    }
    assertThatThrownBy(() -> pieces.add(piece(encoded(101), 10, 10)))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("of 101 came");
  }

  @Test
  void piecesThatAreNoNotificationTogetherAreAnError() {
    assertThatThrownBy(() -> pieces.add(piece(new byte[20], 0, 20)))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("pieces of 20 bytes are no notification");
  }
}
