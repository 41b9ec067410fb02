package io.uccl.p2p;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Objects;

/**
 * The 64 bytes by which a process lets a peer read and write a range of its memory.
 *
 * <pre>
 * offset  size
 *      0     8  address   virtual address of the first byte, in the target
 *      8     4  size      bytes; 0xFFFFFFFF: see offset 56
 *     12     4  rkey      0 on cxi and tcp
 *     16     4  nmsgs
 *     20     4  rid       the region's id
 *     24     8  idx       life of the engine (upper half), epoch of the region (lower half)
 *     32    24  the transport's own, three words
 *     56     8  length of ranges of 2^32 - 1 bytes and more; else 0
 * </pre>
 *
 * All fields are little-endian. The layout is the one of the C++ engine, except that the C++ engine
 * ends at 2^32 - 1 bytes and leaves the last eight bytes alone, and that it does not fill {@code
 * nmsgs}, {@code rid} and {@code idx} with anything that means something.
 *
 * <p>Immutable. Decoding accepts any 64 bytes: whether they mean something is decided where they
 * are used.
 */
public final class FifoDescriptor {

  /** Bytes of an encoded descriptor. */
  public static final int BYTES = 64;

  private static final long SIZE_ESCAPE = 0xFFFF_FFFFL;
  private static final int LENGTH_OFFSET = 56;

  private final long address;
  private final long length;
  private final int rkey;
  private final int nmsgs;
  private final int rid;
  private final long idx;
  private final long own0;
  private final long own1;
  private final long own2;
  private final long tail;

  private FifoDescriptor(
      long address,
      long length,
      int rkey,
      int nmsgs,
      int rid,
      long idx,
      long own0,
      long own1,
      long own2,
      long tail) {
    this.address = address;
    this.length = length;
    this.rkey = rkey;
    this.nmsgs = nmsgs;
    this.rid = rid;
    this.idx = idx;
    this.own0 = own0;
    this.own1 = own1;
    this.own2 = own2;
    this.tail = tail;
  }

  /**
   * Makes a descriptor from its fields.
   *
   * @param address virtual address of the first byte, in the target
   * @param length bytes of the range, 0 and more
   * @param rkey the short key, for transports that use one
   * @param rid the region's id
   * @param idx life and epoch
   * @param own0 the transport's own word at offset 32
   * @param own1 the transport's own word at offset 40
   * @param own2 the transport's own word at offset 48
   * @throws IllegalArgumentException if the length is negative
   */
  public static FifoDescriptor of(
      long address, long length, int rkey, int rid, long idx, long own0, long own1, long own2) {
    if (length < 0) {
      throw new IllegalArgumentException("length of a descriptor is negative: " + length);
    }
    return new FifoDescriptor(
        address, length, rkey, 0, rid, idx, own0, own1, own2, tailFor(length, 0));
  }

  /**
   * Decodes exactly 64 bytes.
   *
   * @throws IllegalArgumentException if there are more or fewer
   */
  public static FifoDescriptor decode(byte[] bytes) {
    if (bytes.length != BYTES) {
      throw new IllegalArgumentException(
          "a FIFO descriptor has 64 bytes, but " + bytes.length + " were given");
    }
    return decode(ByteBuffer.wrap(bytes));
  }

  /**
   * Decodes the next 64 bytes and moves the position past them. The buffer's byte order is ignored.
   *
   * @throws IllegalArgumentException if fewer remain
   */
  public static FifoDescriptor decode(ByteBuffer source) {
    if (source.remaining() < BYTES) {
      throw new IllegalArgumentException(
          "a FIFO descriptor has 64 bytes, but only " + source.remaining() + " are left");
    }
    ByteBuffer bytes = source.slice(source.position(), BYTES).order(ByteOrder.LITTLE_ENDIAN);
    source.position(source.position() + BYTES);
    long size = bytes.getInt(8) & SIZE_ESCAPE;
    long tail = bytes.getLong(LENGTH_OFFSET);
    // A tail that the size field could have held is not a length that anybody wrote there.
    long length = size == SIZE_ESCAPE && tail > SIZE_ESCAPE ? tail : size;
    return new FifoDescriptor(
        bytes.getLong(0),
        length,
        bytes.getInt(12),
        bytes.getInt(16),
        bytes.getInt(20),
        bytes.getLong(24),
        bytes.getLong(32),
        bytes.getLong(40),
        bytes.getLong(48),
        tail);
  }

  /** The 64 bytes. */
  public byte[] encode() {
    byte[] bytes = new byte[BYTES];
    encode(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN), 0);
    return bytes;
  }

  /**
   * Writes the 64 bytes at an index, leaving the buffer's position alone. Allocates nothing.
   *
   * @param target a little-endian buffer
   * @throws IllegalArgumentException if the buffer is not little-endian
   * @throws IndexOutOfBoundsException if they do not fit
   */
  public void encode(ByteBuffer target, int index) {
    if (target.order() != ByteOrder.LITTLE_ENDIAN) {
      throw new IllegalArgumentException("descriptors are encoded into little-endian buffers");
    }
    Objects.checkFromIndexSize(index, BYTES, target.limit());
    target.putLong(index, address);
    target.putInt(index + 8, (int) Math.min(length, SIZE_ESCAPE));
    target.putInt(index + 12, rkey);
    target.putInt(index + 16, nmsgs);
    target.putInt(index + 20, rid);
    target.putLong(index + 24, idx);
    target.putLong(index + 32, own0);
    target.putLong(index + 40, own1);
    target.putLong(index + 48, own2);
    target.putLong(index + LENGTH_OFFSET, tail);
  }

  /**
   * The descriptor of a part of this range. Only address and length differ.
   *
   * @throws IndexOutOfBoundsException if the part does not fit
   */
  public FifoDescriptor slice(long offset, long partLength) {
    Objects.checkFromIndexSize(offset, partLength, length);
    return new FifoDescriptor(
        address + offset,
        partLength,
        rkey,
        nmsgs,
        rid,
        idx,
        own0,
        own1,
        own2,
        tailFor(partLength, length >= SIZE_ESCAPE ? 0 : tail));
  }

  // Where the length fits the size field, the tail is not ours: keep what was there.
  private static long tailFor(long length, long otherwise) {
    return length > SIZE_ESCAPE ? length : length == SIZE_ESCAPE ? 0 : otherwise;
  }

  /** Virtual address of the first byte, in the target. */
  public long address() {
    return address;
  }

  /** Bytes of the advertised range. */
  public long length() {
    return length;
  }

  /** The short key, for transports that use one. */
  public int rkey() {
    return rkey;
  }

  /** The field {@code nmsgs}; carried along, without a meaning here. */
  public int nmsgs() {
    return nmsgs;
  }

  /** The region's id in its engine; 0 if the maker of the descriptor has none. */
  public int rid() {
    return rid;
  }

  /** Life of the engine in the upper half, epoch of the region in the lower half. */
  public long idx() {
    return idx;
  }

  /** The life of the engine that made this descriptor. */
  public int life() {
    return (int) (idx >>> 32);
  }

  /** The transport's own word at offset 32. */
  public long own0() {
    return own0;
  }

  /** The transport's own word at offset 40. */
  public long own1() {
    return own1;
  }

  /** The transport's own word at offset 48. */
  public long own2() {
    return own2;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof FifoDescriptor that && Arrays.equals(encode(), that.encode());
  }

  @Override
  public int hashCode() {
    return Objects.hash(address, length, rid, idx, own0, own1, own2);
  }

  /** Hexadecimal, 128 digits. */
  @Override
  public String toString() {
    return HexFormat.of().formatHex(encode());
  }
}
