package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** A structure in off-heap memory that the shim reads and writes, in the machine's byte order. */
final class OffHeap {

  private final ByteBuffer bytes;
  private final long address;

  OffHeap(int size) {
    bytes = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder());
    address = NativeMemory.address(bytes);
  }

  /** Of the first byte; the memory lives as long as this object. */
  long address() {
    return address;
  }

  int getInt(int offset) {
    return bytes.getInt(offset);
  }

  long getLong(int offset) {
    return bytes.getLong(offset);
  }

  void putInt(int offset, int value) {
    bytes.putInt(offset, value);
  }

  void putLong(int offset, long value) {
    bytes.putLong(offset, value);
  }

  byte[] getBytes(int offset, int length) {
    byte[] copy = new byte[length];
    bytes.get(offset, copy);
    return copy;
  }

  void putBytes(int offset, byte[] value) {
    bytes.put(offset, value);
  }

  /** Up to the first NUL of a field. */
  String getText(int offset, int size) {
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
  boolean putText(int offset, int size, String text) {
    byte[] encoded = text.getBytes(StandardCharsets.UTF_8);
    if (encoded.length >= size || text.indexOf('\0') >= 0) {
      return false;
    }
    bytes.put(offset, new byte[size]);
    bytes.put(offset, encoded);
    return true;
  }
}
