package io.uccl.p2p.engine;

import io.uccl.p2p.Notification;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Tells the frames of the control channel apart, and encodes and decodes those that are not a
 * {@link Handshake}. A frame's first four bytes say what it is.
 *
 * <p>A notification, as the C++ engine has it:
 *
 * <pre>
 * offset  size  field
 *      0     4  magic 0xDEADDEAD
 *      4     4  type
 *      8     4  name length
 *     12     4  message length
 *     16        name, then message; the total is exactly the frame's
 * </pre>
 *
 * What only JVM engines send to each other; a C++ process would be wedged by it, so it goes only to
 * a peer whose {@link HandshakeTrailer} announced it:
 *
 * <pre>
 * offset  size  field
 *      0     4  magic 0x4A503250, on the wire the text P2PJ
 *      4     2  kind: 1 READY, 2 REFUSED, 3 HEARTBEAT, 4 PIECE, 5 ACK
 *      6     2  0
 *      8        READY, HEARTBEAT: nothing
 *               REFUSED: u32 length of the reason, the reason in UTF-8
 *               PIECE:   u32 total | u32 offset | bytes, 1 to 256 KiB
 *               ACK:     u64 count
 * </pre>
 *
 * READY says that the sender can receive now. REFUSED is an acceptor's answer to a handshake that
 * it cannot accept. HEARTBEAT says that the sender lives, once a second; as any byte does.
 *
 * <p>A notification whose frame is longer than 256 KiB goes in PIECEs: {@code total} is the length
 * of its frame, header included and at most 64 MiB, {@code offset} where the bytes belong in it.
 * The pieces of one notification come in order, without a gap, and before any byte of the next
 * notification; only frames of other kinds may come in between. ACK says how many notifications
 * were delivered since the link began.
 *
 * <p>All numbers are little-endian. Buffers that are read keep their position, and their order is
 * ignored.
 */
final class ControlCodec {

  /** First four bytes of a notification. */
  static final int NOTIFICATION_MAGIC = 0xDEADDEAD;

  /** First four bytes of what only JVM engines send; on the wire the text {@code P2PJ}. */
  static final int JVM_MAGIC = 0x4A503250;

  private static final int KIND_READY = 1;
  private static final int KIND_REFUSED = 2;
  private static final int KIND_HEARTBEAT = 3;
  private static final int KIND_PIECE = 4;
  private static final int KIND_ACK = 5;
  private static final int JVM_HEADER_BYTES = 8;
  private static final int PIECE_HEADER_BYTES = JVM_HEADER_BYTES + 2 * Integer.BYTES;
  private static final int REASON_OFFSET = JVM_HEADER_BYTES + Integer.BYTES;
  private static final int MAX_REASON_CHARS = 1000;

  private ControlCodec() {}

  /** What a frame is. */
  enum FrameKind {
    /**
     * Starts as a handshake of the expected transport; {@link Handshake#decode} checks the rest.
     */
    HANDSHAKE,
    /** A well-formed notification. */
    NOTIFICATION,
    /** A well-formed READY. */
    READY,
    /** A well-formed REFUSED. */
    REFUSED,
    /** A well-formed HEARTBEAT. */
    HEARTBEAT,
    /** A PIECE whose bytes lie within its total. */
    PIECE,
    /** A well-formed ACK. */
    ACK,
    /** Anything else. {@link Handshake#decode} throws for it and says what it may be. */
    UNKNOWN
  }

  /**
   * Tells what a frame is. Accepts any bytes.
   *
   * @param handshakeMagic of the transport in use
   */
  static FrameKind kind(ByteBuffer payload, int handshakeMagic) {
    ByteBuffer bytes = littleEndian(payload);
    if (bytes.remaining() < Integer.BYTES) {
      return FrameKind.UNKNOWN;
    }
    int magic = bytes.getInt(0);
    if (magic == handshakeMagic) {
      return FrameKind.HANDSHAKE;
    }
    if (isNotification(bytes)) {
      return FrameKind.NOTIFICATION;
    }
    return magic == JVM_MAGIC ? jvmKind(bytes) : FrameKind.UNKNOWN;
  }

  private static FrameKind jvmKind(ByteBuffer bytes) {
    int length = bytes.remaining();
    if (length < JVM_HEADER_BYTES || bytes.getShort(6) != 0) {
      return FrameKind.UNKNOWN;
    }
    int kind = Short.toUnsignedInt(bytes.getShort(4));
    if (kind == KIND_READY && length == JVM_HEADER_BYTES) {
      return FrameKind.READY;
    }
    if (kind == KIND_HEARTBEAT && length == JVM_HEADER_BYTES) {
      return FrameKind.HEARTBEAT;
    }
    if (kind == KIND_PIECE && isPiece(bytes)) {
      return FrameKind.PIECE;
    }
    if (kind == KIND_ACK && length == JVM_HEADER_BYTES + Long.BYTES) {
      return FrameKind.ACK;
    }
    if (kind == KIND_REFUSED
        && length >= REASON_OFFSET
        && REASON_OFFSET + Integer.toUnsignedLong(bytes.getInt(JVM_HEADER_BYTES)) == length) {
      return FrameKind.REFUSED;
    }
    return FrameKind.UNKNOWN;
  }

  private static boolean isPiece(ByteBuffer bytes) {
    int length = bytes.remaining() - PIECE_HEADER_BYTES;
    if (length < 1 || length > NotificationPieces.PIECE_BYTES) {
      return false;
    }
    long total = Integer.toUnsignedLong(bytes.getInt(JVM_HEADER_BYTES));
    long offset = Integer.toUnsignedLong(bytes.getInt(JVM_HEADER_BYTES + Integer.BYTES));
    return total <= Notification.MAX_FRAME_BYTES && offset + length <= total;
  }

  /** True if the frame is a well-formed notification. Accepts any bytes. */
  static boolean isNotification(ByteBuffer payload) {
    ByteBuffer bytes = littleEndian(payload);
    int length = bytes.remaining();
    return length >= Notification.HEADER_BYTES
        && length <= Notification.MAX_FRAME_BYTES
        && bytes.getInt(0) == NOTIFICATION_MAGIC
        // In 64 bits: two lengths near 2^32 must not add up to a small number.
        && Notification.HEADER_BYTES
                + Integer.toUnsignedLong(bytes.getInt(8))
                + Integer.toUnsignedLong(bytes.getInt(12))
            == length;
  }

  /** The frame's payload for a notification. */
  static byte[] encode(Notification notification) {
    byte[] name = notification.name();
    byte[] message = notification.message();
    return ByteBuffer.allocate(notification.frameBytes())
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(NOTIFICATION_MAGIC)
        .putInt(notification.type())
        .putInt(name.length)
        .putInt(message.length)
        .put(name)
        .put(message)
        .array();
  }

  /**
   * Reads a notification.
   *
   * @throws IllegalArgumentException if the frame is not one, see {@link #isNotification}
   */
  static Notification decodeNotification(ByteBuffer payload) {
    if (!isNotification(payload)) {
      throw new IllegalArgumentException(
          "not a notification: a frame of " + payload.remaining() + " bytes");
    }
    ByteBuffer bytes = littleEndian(payload);
    byte[] name = new byte[bytes.getInt(8)];
    byte[] message = new byte[bytes.getInt(12)];
    bytes.position(Notification.HEADER_BYTES).get(name).get(message);
    return Notification.of(bytes.getInt(4), name, message);
  }

  /** The frame's payload for READY. */
  static byte[] encodeReady() {
    return jvmFrame(KIND_READY, 0).array();
  }

  /** The frame's payload for HEARTBEAT. */
  static byte[] encodeHeartbeat() {
    return jvmFrame(KIND_HEARTBEAT, 0).array();
  }

  /** The frame's payload for a PIECE of a notification's frame. */
  static byte[] encodePiece(byte[] notification, int offset, int length) {
    return jvmFrame(KIND_PIECE, 2 * Integer.BYTES + length)
        .putInt(notification.length)
        .putInt(offset)
        .put(notification, offset, length)
        .array();
  }

  /** Of a PIECE: the length of the notification's frame. */
  static int pieceTotal(ByteBuffer piece) {
    return littleEndian(piece).getInt(JVM_HEADER_BYTES);
  }

  /** Of a PIECE: where its bytes belong. */
  static int pieceOffset(ByteBuffer piece) {
    return littleEndian(piece).getInt(JVM_HEADER_BYTES + Integer.BYTES);
  }

  /** Of a PIECE: how many bytes it brings. */
  static int pieceLength(ByteBuffer piece) {
    return piece.remaining() - PIECE_HEADER_BYTES;
  }

  /** Of a PIECE: copies its bytes. */
  static void copyPiece(ByteBuffer piece, byte[] target, int at) {
    piece.slice().get(PIECE_HEADER_BYTES, target, at, pieceLength(piece));
  }

  /** The frame's payload for ACK. */
  static byte[] encodeAck(long count) {
    return jvmFrame(KIND_ACK, Long.BYTES).putLong(count).array();
  }

  /** Of an ACK: its count. */
  static long ackCount(ByteBuffer ack) {
    return littleEndian(ack).getLong(JVM_HEADER_BYTES);
  }

  /**
   * The frame's payload for REFUSED.
   *
   * @param reason one line; cut after 1000 characters
   */
  static byte[] encodeRefused(String reason) {
    byte[] text = oneLine(reason).getBytes(StandardCharsets.UTF_8);
    return jvmFrame(KIND_REFUSED, Integer.BYTES + text.length)
        .putInt(text.length)
        .put(text)
        .array();
  }

  /**
   * Reads the reason out of REFUSED: one line of at most 1000 characters, whatever the peer sent.
   *
   * @throws IllegalArgumentException if the frame is not REFUSED, see {@link #kind}
   */
  static String decodeRefused(ByteBuffer payload) {
    ByteBuffer bytes = littleEndian(payload);
    if (bytes.remaining() < REASON_OFFSET
        || bytes.getInt(0) != JVM_MAGIC
        || jvmKind(bytes) != FrameKind.REFUSED) {
      throw new IllegalArgumentException(
          "not a refusal: a frame of " + payload.remaining() + " bytes");
    }
    // Four bytes a character at most, so what oneLine would cut need not be decoded.
    byte[] text = new byte[Math.min(bytes.getInt(JVM_HEADER_BYTES), 4 * (MAX_REASON_CHARS + 1))];
    bytes.get(REASON_OFFSET, text);
    return oneLine(new String(text, StandardCharsets.UTF_8));
  }

  private static ByteBuffer jvmFrame(int kind, int bodyBytes) {
    return ByteBuffer.allocate(JVM_HEADER_BYTES + bodyBytes)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(JVM_MAGIC)
        .putShort((short) kind)
        .putShort((short) 0);
  }

  private static String oneLine(String text) {
    StringBuilder line = new StringBuilder();
    text.codePoints()
        .limit(MAX_REASON_CHARS)
        .map(c -> Character.isISOControl(c) ? ' ' : c)
        .forEach(line::appendCodePoint);
    return line.toString();
  }

  private static ByteBuffer littleEndian(ByteBuffer payload) {
    return payload.slice().order(ByteOrder.LITTLE_ENDIAN);
  }
}
