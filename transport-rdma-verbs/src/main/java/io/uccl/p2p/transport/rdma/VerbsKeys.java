package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.spi.OpBuffer;

/**
 * What a descriptor says to rdma of a region, in the transport's own words of it: the keys by which
 * the NICs of its process know it.
 *
 * <pre>
 * offset size
 *     32   16  four keys of 4 bytes, 0 where there is none
 *     48    1  n: NICs, 1 to 4
 *     49    1  shift: pieces end where the address is a multiple of 1 &lt;&lt; shift
 *     50    1  flags, 1: memory of a GPU, 2: open to reads
 *     51    5  0
 * </pre>
 *
 * The key of NIC i and of the piece with address A is at {@code i + n * ((A >> shift) modulo (4 /
 * n))}: the number of pieces, which is small, makes that unique.
 */
final class VerbsKeys {

  /** NICs of a process, and keys of a region. */
  static final int MOST = 4;

  /** Of a region that is registered in one piece. */
  static final int WHOLE = 63;

  private static final int LEAST_SHIFT = 12;

  private static final int LAYOUT_WORD = 2;
  private static final long NICS_MASK = 0xff;
  private static final int SHIFT_AT = 8;
  private static final long SHIFT_MASK = 0xff;
  private static final long GPU = 1L << 16;
  private static final long READABLE = 2L << 16;

  private final int nics;
  private final int shift;
  private final boolean gpu;
  private final boolean readable;
  private final int[] keys = new int[MOST];

  /**
   * Of a region whose keys are not known yet.
   *
   * @param nics 1 to 4
   * @param shift where its pieces end
   * @param gpu whether it is memory of a GPU
   * @param readable whether it is open to reads
   */
  VerbsKeys(int nics, int shift, boolean gpu, boolean readable) {
    this.nics = nics;
    this.shift = shift;
    this.gpu = gpu;
    this.readable = readable;
  }

  /**
   * Into which pieces a region has to be cut.
   *
   * @param longest bytes of the longest registration
   * @return the shift, or -1 if there would be more pieces than a descriptor has keys for
   */
  static int shift(long address, long length, long longest, int nics) {
    if (length <= longest) {
      return WHOLE;
    }
    int shift = Long.SIZE - 1 - Long.numberOfLeadingZeros(Math.max(1, longest));
    long pieces = ((address + length - 1) >>> shift) - (address >>> shift) + 1;
    return shift < LEAST_SHIFT || pieces > MOST / nics ? -1 : shift;
  }

  /** Where pieces end: 63, nowhere. */
  int shift() {
    return shift;
  }

  /** Notes the key of a piece. */
  void put(int nic, long piece, int key) {
    keys[(int) (nic + nics * (piece % (MOST / nics)))] = key;
  }

  /** Of the first NIC and the piece with the address, as the C++ engine has it in its place. */
  int key(long address) {
    return keys[(int) (nics * ((address >>> shift) % (MOST / nics)))];
  }

  /**
   * A word of the descriptor.
   *
   * @param index 0, 1 or 2
   */
  long word(int index) {
    if (index == LAYOUT_WORD) {
      return nics | (long) shift << SHIFT_AT | (gpu ? GPU : 0) | (readable ? READABLE : 0);
    }
    return Integer.toUnsignedLong(keys[2 * index]) | (long) keys[2 * index + 1] << Integer.SIZE;
  }

  /** For how many NICs the descriptor of an operation has keys; 0: it is not one of rdma. */
  static int nics(OpBuffer operations, int index) {
    return (int) (operations.remoteOwn(index, LAYOUT_WORD) & NICS_MASK);
  }

  /**
   * Whether the descriptor of an operation has a key for every piece of its target. A peer sends
   * it, so it may say anything.
   */
  static boolean hasAll(OpBuffer operations, int index) {
    int nics = nics(operations, index);
    int shift = (int) (operations.remoteOwn(index, LAYOUT_WORD) >>> SHIFT_AT & SHIFT_MASK);
    long length = operations.length(index);
    if (nics < 1 || nics > MOST || shift > WHOLE) {
      return false;
    }
    if (length == 0 || shift == WHOLE) {
      return true;
    }
    long first = operations.remoteAddress(index);
    long last = first + length - 1;
    return Long.compareUnsigned(first, last) <= 0
        && (last >>> shift) - (first >>> shift) < MOST / nics;
  }

  /** Whether the target of an operation is memory of a GPU. */
  static boolean isGpu(OpBuffer operations, int index) {
    return (operations.remoteOwn(index, LAYOUT_WORD) & GPU) != 0;
  }

  /** Whether it is open to reads. */
  static boolean isReadable(OpBuffer operations, int index) {
    return (operations.remoteOwn(index, LAYOUT_WORD) & READABLE) != 0;
  }
}
