package io.uccl.p2p.conformance;

import io.uccl.p2p.MemoryRegion;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Bytes that depend on a seed and on their position, so that a piece which is skipped, repeated or
 * misplaced is found. Seed 0 stands for zeros, which is what fresh memory holds.
 */
final class Pattern {

  private static final int CHUNK = 1 << 20;

  private Pattern() {}

  /** Fills a range of a region; its first byte is the pattern's byte {@code position}. */
  static void fill(MemoryRegion region, long offset, long length, long seed, long position) {
    for (long done = 0; done < length; done += CHUNK) {
      int size = (int) Math.min(CHUNK, length - done);
      fill(region.slice(offset + done, size), seed, position + done);
    }
  }

  /** Index in the range of the first byte that is not the pattern's, or -1. */
  static long mismatch(MemoryRegion region, long offset, long length, long seed, long position) {
    for (long done = 0; done < length; done += CHUNK) {
      int size = (int) Math.min(CHUNK, length - done);
      int at = mismatch(region.slice(offset + done, size), seed, position + done);
      if (at >= 0) {
        return done + at;
      }
    }
    return -1;
  }

  /** Fills a buffer from 0 to its limit. */
  static void fill(ByteBuffer buffer, long seed, long position) {
    ByteBuffer bytes = buffer.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    int size = bytes.limit();
    int at = 0;
    while (at < size) {
      long here = position + at;
      if ((here & 7) == 0 && size - at >= Long.BYTES) {
        bytes.putLong(at, word(seed, here >>> 3));
        at += Long.BYTES;
      } else {
        bytes.put(at++, byteAt(seed, here));
      }
    }
  }

  /** Index of the first byte of a buffer that is not the pattern's, or -1. */
  static int mismatch(ByteBuffer buffer, long seed, long position) {
    ByteBuffer bytes = buffer.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    int size = bytes.limit();
    int at = 0;
    while (at < size) {
      long here = position + at;
      if ((here & 7) == 0
          && size - at >= Long.BYTES
          && bytes.getLong(at) == word(seed, here >>> 3)) {
        at += Long.BYTES;
      } else if (bytes.get(at) == byteAt(seed, here)) {
        at++;
      } else {
        return at;
      }
    }
    return -1;
  }

  private static byte byteAt(long seed, long position) {
    return (byte) (word(seed, position >>> 3) >>> ((position & 7) << 3));
  }

  private static long word(long seed, long index) {
    if (seed == 0) {
      return 0;
    }
    long mixed = (index + seed * 0xD1B54A32D192ED03L) * 0x9E3779B97F4A7C15L;
    mixed ^= mixed >>> 32;
    return mixed * 0xD6E8FEB86659FD93L;
  }
}
