package io.uccl.p2p.engine;

import io.uccl.p2p.Notification;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Cuts a stream of bytes into frames, wherever the stream was cut by the network.
 *
 * <pre>
 * u32 length, big-endian | payload
 * </pre>
 *
 * A frame of more than 64 MiB is an error. One of length 0 is skipped, but before the peer has
 * shown that it speaks this protocol no more than {@value #MOST_EMPTY_FRAMES} are: zeros are what
 * others send. Memory grows with the bytes that came, not with the length that was announced. Not
 * thread-safe.
 */
final class FrameAssembler {

  /** The longest payload: 64 MiB. */
  static final int MAX_PAYLOAD_BYTES = Notification.MAX_FRAME_BYTES;

  /** Bytes of the length before a payload. */
  static final int PREFIX_BYTES = 4;

  /** Frames of length 0 that are skipped before {@link #allowEmptyFrames}. */
  static final int MOST_EMPTY_FRAMES = 16;

  private static final int FIRST_CAPACITY = 4096;
  private static final int KEPT_CAPACITY = 64 << 10;
  private static final byte[] NOTHING = {};

  private int prefix;
  private int prefixBytes;
  private int length;
  private byte[] body = NOTHING;
  private int filled;
  private int emptyFrames;
  private boolean emptyFramesAllowed;

  /**
   * Takes bytes off {@code input} until a frame is complete or none are left.
   *
   * @param input a heap buffer
   * @return the payload, little-endian, valid until the next call and as long as {@code input} is
   *     not refilled; or null, and all of {@code input} was taken
   * @throws ProtocolException if a length is over 64 MiB, or too many are 0; the stream is lost
   *     then
   */
  @Nullable ByteBuffer next(ByteBuffer input) throws ProtocolException {
    if (length == 0 && !readPrefix(input)) {
      return null;
    }
    if (filled == 0 && input.remaining() >= length) {
      ByteBuffer whole = input.slice(input.position(), length);
      input.position(input.position() + length);
      length = 0;
      return whole.order(ByteOrder.LITTLE_ENDIAN);
    }
    int count = Math.min(input.remaining(), length - filled);
    makeRoomFor(count);
    input.get(body, filled, count);
    filled += count;
    if (filled < length) {
      return null;
    }
    ByteBuffer whole = ByteBuffer.wrap(body, 0, length).slice().order(ByteOrder.LITTLE_ENDIAN);
    length = 0;
    filled = 0;
    if (body.length > KEPT_CAPACITY) {
      body = NOTHING;
    }
    return whole;
  }

  /**
   * Skips the next frame if it is the given one and lies in {@code input} as a whole. Allocates
   * nothing.
   *
   * @param payload of the frame to skip
   */
  boolean skip(byte[] payload, ByteBuffer input) {
    int size = PREFIX_BYTES + payload.length;
    if (isMidFrame() || input.remaining() < size) {
      return false;
    }
    int at = input.position();
    for (int i = 0; i < PREFIX_BYTES; i++) {
      int shift = Byte.SIZE * (PREFIX_BYTES - 1 - i);
      if (input.get(at + i) != (byte) (payload.length >>> shift)) {
        return false;
      }
    }
    for (int i = 0; i < payload.length; i++) {
      if (input.get(at + PREFIX_BYTES + i) != payload[i]) {
        return false;
      }
    }
    input.position(at + size);
    return true;
  }

  /** The peer speaks this protocol: from now on any number of frames of length 0 is skipped. */
  void allowEmptyFrames() {
    emptyFramesAllowed = true;
  }

  /** True if a frame has begun and is not complete. */
  boolean isMidFrame() {
    return prefixBytes > 0 || length > 0;
  }

  /** Forgets what is there of an unfinished frame: its stream has ended. */
  void clear() {
    prefixBytes = 0;
    length = 0;
    filled = 0;
    body = NOTHING;
  }

  /** What is there of an unfinished frame, in words. */
  String progress() {
    return length > 0
        ? filled + " of its " + length + " bytes"
        : prefixBytes + " of the 4 bytes of its length";
  }

  /** Bytes of memory that it holds. */
  int capacity() {
    return body.length;
  }

  /** True if {@link #length} is that of a frame now. */
  private boolean readPrefix(ByteBuffer input) throws ProtocolException {
    while (input.hasRemaining()) {
      prefix = prefix << 8 | Byte.toUnsignedInt(input.get());
      prefixBytes++;
      if (prefixBytes == PREFIX_BYTES) {
        prefixBytes = 0;
        if (Integer.compareUnsigned(prefix, MAX_PAYLOAD_BYTES) > 0) {
          throw tooLong(prefix);
        }
        if (prefix > 0) {
          length = prefix;
          return true;
        }
        if (!emptyFramesAllowed && ++emptyFrames > MOST_EMPTY_FRAMES) {
          throw new ProtocolException(
              "the peer sends empty frames and no handshake; it speaks another protocol");
        }
      }
    }
    return false;
  }

  private void makeRoomFor(int count) {
    int needed = filled + count;
    if (needed > body.length) {
      int doubled = Math.max(FIRST_CAPACITY, 2 * body.length);
      body = Arrays.copyOf(body, Math.max(needed, Math.min(doubled, length)));
    }
  }

  private static ProtocolException tooLong(int length) {
    String text = printable(ByteBuffer.allocate(PREFIX_BYTES).putInt(length).array());
    return new ProtocolException(
        "a frame of "
            + Integer.toUnsignedString(length)
            + " bytes was announced"
            + (text.isEmpty() ? "" : " (or text: \"" + text + "\")")
            + ", but frames have at most "
            + MAX_PAYLOAD_BYTES
            + "; the peer speaks another protocol");
  }

  /** The bytes as text if they are printable ASCII, else nothing. For messages. */
  static String printable(byte[] bytes) {
    for (byte b : bytes) {
      if (b < 0x20 || b > 0x7e) {
        return "";
      }
    }
    return new String(bytes, StandardCharsets.US_ASCII);
  }
}
