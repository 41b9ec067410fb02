package io.uccl.p2p.spi.nativelib;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * A structure in off-heap memory that a shim reads and writes, in the machine's byte order. Offsets
 * count bytes from its beginning.
 *
 * <p>Its memory lives as long as it does. An access beyond its end throws {@link
 * IndexOutOfBoundsException}. Not thread-safe.
 */
public final class OffHeap {

  private final ByteBuffer bytes;
  private final long address;

  /**
   * Takes zeroed memory.
   *
   * @param size bytes
   */
  public OffHeap(int size) {
    bytes = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder());
    address = NativeMemory.address(bytes);
  }

  /** Virtual address of the first byte, a multiple of 8. */
  public long address() {
    return address;
  }

  /** The 4 bytes at an offset. */
  public int getInt(int offset) {
    return bytes.getInt(offset);
  }

  /** The 8 bytes at an offset. */
  public long getLong(int offset) {
    return bytes.getLong(offset);
  }

  /** Sets the 4 bytes at an offset. */
  public void putInt(int offset, int value) {
    bytes.putInt(offset, value);
  }

  /** Sets the 8 bytes at an offset. */
  public void putLong(int offset, long value) {
    bytes.putLong(offset, value);
  }

  /** A copy of the bytes at an offset. */
  public byte[] getBytes(int offset, int length) {
    byte[] copy = new byte[length];
    bytes.get(offset, copy);
    return copy;
  }

  /** Sets the bytes at an offset. */
  public void putBytes(int offset, byte[] value) {
    bytes.put(offset, value);
  }

  /** The text in a field of UTF-8, up to its first NUL. */
  public String getText(int offset, int size) {
    byte[] field = getBytes(offset, size);
    int length = 0;
    while (length < size && field[length] != 0) {
      length++;
    }
    return new String(field, 0, length, StandardCharsets.UTF_8);
  }

  /**
   * Fills a field, its rest with NULs.
   *
   * @return false if the text has a NUL or leaves no room for one
   */
  public boolean putText(int offset, int size, String text) {
    byte[] encoded = text.getBytes(StandardCharsets.UTF_8);
    if (encoded.length >= size || text.indexOf('\0') >= 0) {
      return false;
    }
    bytes.put(offset, new byte[size]);
    bytes.put(offset, encoded);
    return true;
  }
}
