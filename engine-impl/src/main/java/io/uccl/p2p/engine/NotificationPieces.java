package io.uccl.p2p.engine;

import io.uccl.p2p.Notification;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Cuts long notifications into PIECE frames, see {@link ControlCodec}, and puts those of one link
 * together again. Memory grows with the bytes that came, not with the length that was announced.
 * Not thread-safe.
 */
final class NotificationPieces {

  /** The most bytes of a notification in one frame between peers that take pieces. */
  static final int PIECE_BYTES = 256 << 10;

  private static final byte[] NOTHING = {};

  private byte[] body = NOTHING;
  private int total;
  private int filled;

  /** The frames that a notification travels in: itself, or pieces of it. */
  static List<byte[]> cut(byte[] encoded) {
    if (encoded.length <= PIECE_BYTES) {
      return List.of(encoded);
    }
    List<byte[]> pieces = new ArrayList<>();
    for (int offset = 0; offset < encoded.length; offset += PIECE_BYTES) {
      int length = Math.min(PIECE_BYTES, encoded.length - offset);
      pieces.add(ControlCodec.encodePiece(encoded, offset, length));
    }
    return pieces;
  }

  /** Whether a notification has begun and is not complete. */
  boolean isUnderWay() {
    return filled > 0;
  }

  /**
   * Takes the next piece.
   *
   * @param piece a frame that is a PIECE
   * @return the notification if that was its last piece
   * @throws ProtocolException if the piece is not the next one, or the whole no notification
   */
  @Nullable Notification add(ByteBuffer piece) throws ProtocolException {
    int announced = ControlCodec.pieceTotal(piece);
    int offset = ControlCodec.pieceOffset(piece);
    int length = ControlCodec.pieceLength(piece);
    if (offset != filled || (filled > 0 && announced != total)) {
      throw new ProtocolException(
          "byte "
              + offset
              + " of a notification of "
              + announced
              + " came where byte "
              + filled
              + (filled > 0 ? " of one of " + total : "")
              + " is due");
    }
    total = announced;
    makeRoomFor(length);
    ControlCodec.copyPiece(piece, body, filled);
    filled += length;
    if (filled < total) {
      return null;
    }
    ByteBuffer whole = ByteBuffer.wrap(body, 0, total).slice();
    body = NOTHING;
    filled = 0;
    if (!ControlCodec.isNotification(whole)) {
      throw new ProtocolException("pieces of " + total + " bytes are no notification together");
    }
    return ControlCodec.decodeNotification(whole);
  }

  /** Forgets what has come of a notification: its link has ended. */
  void clear() {
    body = NOTHING;
    filled = 0;
  }

  private void makeRoomFor(int count) {
    int needed = filled + count;
    if (needed > body.length) {
      body = Arrays.copyOf(body, Math.min(total, Math.max(needed, 2 * body.length)));
    }
  }
}
