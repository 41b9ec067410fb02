package io.uccl.p2p.cli;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/**
 * Bytes that depend on the iteration and on the absolute offset, so that a piece which was skipped,
 * repeated or put in the wrong place is seen.
 *
 * <p>Each eight bytes at an offset that eight divides are one little-endian word: a mix of all bits
 * of iteration and offset.
 */
final class BytePattern {

  private final long seed;
  private final long iteration;

  BytePattern(long iteration) {
    this.iteration = iteration;
    this.seed = mix(iteration + 0x9E37_79B9_7F4A_7C15L);
  }

  /** Writes the pattern all over a footprint. */
  void fill(Footprint footprint) {
    long offset = 0;
    for (ByteBuffer view : footprint.views(0, footprint.length())) {
      fill(view.order(ByteOrder.LITTLE_ENDIAN), offset);
      offset += view.capacity();
    }
  }

  /** The first byte of a footprint that is not as {@link #fill} writes it, or null. */
  @Nullable WrongByte firstWrong(Footprint footprint) {
    long offset = 0;
    for (ByteBuffer view : footprint.views(0, footprint.length())) {
      int index = firstWrong(view.order(ByteOrder.LITTLE_ENDIAN), offset);
      if (index >= 0) {
        return new WrongByte(
            iteration, offset + index, byteAt(offset + index) & 0xff, view.get(index) & 0xff);
      }
      offset += view.capacity();
    }
    return null;
  }

  private void fill(ByteBuffer view, long offset) {
    int words = view.capacity() & -Long.BYTES;
    for (int i = 0; i < words; i += Long.BYTES) {
      view.putLong(i, wordAt(offset + i));
    }
    for (int i = words; i < view.capacity(); i++) {
      view.put(i, byteAt(offset + i));
    }
  }

  private int firstWrong(ByteBuffer view, long offset) {
    int words = view.capacity() & -Long.BYTES;
    for (int i = 0; i < words; i += Long.BYTES) {
      long difference = view.getLong(i) ^ wordAt(offset + i);
      if (difference != 0) {
        return i + Long.numberOfTrailingZeros(difference) / Byte.SIZE;
      }
    }
    for (int i = words; i < view.capacity(); i++) {
      if (view.get(i) != byteAt(offset + i)) {
        return i;
      }
    }
    return -1;
  }

  private long wordAt(long offset) {
    return mix(seed + offset);
  }

  private byte byteAt(long offset) {
    int inWord = (int) (offset & (Long.BYTES - 1));
    return (byte) (wordAt(offset - inWord) >>> (inWord * Byte.SIZE));
  }

  private static long mix(long bits) {
    long z = bits;
    z = (z ^ (z >>> 32)) * 0xD6E8_FEB8_6659_FD93L;
    z = (z ^ (z >>> 32)) * 0xD6E8_FEB8_6659_FD93L;
    return z ^ (z >>> 32);
  }

  /**
   * What was found where.
   *
   * @param iteration of the pattern that was expected
   * @param offset in the footprint
   * @param expected 0 to 255
   * @param found 0 to 255
   */
  record WrongByte(long iteration, long offset, int expected, int found) {

    @Override
    public String toString() {
      return String.format(
          "iteration %d, offset %d: 0x%02x was expected, 0x%02x was found",
          iteration, offset, expected, found);
    }
  }
}
