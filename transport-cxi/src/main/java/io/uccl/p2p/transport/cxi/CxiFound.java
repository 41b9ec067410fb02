package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.spi.nativelib.OffHeap;

/**
 * What an endpoint turned out to be; {@code p2p_cxi.h} draws it as {@code struct p2p_cxi_found}.
 */
final class CxiFound {

  private static final int VERSION = 0;
  private static final int MR_MODE = 4;
  private static final int KEY_SIZE = 8;
  private static final int LONGEST = 16;
  private static final int OPERATIONS = 24;
  private static final int BITS = 28;
  private static final int ADDRESS_LENGTH = 36;
  private static final int ADDRESS = 40;
  private static final int BYTES = 296;

  private static final int WAITS = 1;
  private static final int GPU_MEMORY = 2;
  private static final int MATCH_EVENTS = 8;
  private static final int KEYS_OF_THEIR_OWN = 16;

  /** Bit of mr_mode, fi_mr(3). */
  private static final int FI_MR_PROV_KEY = 1 << 6;

  private final OffHeap bytes = new OffHeap(BYTES);

  /** Where the shim writes it. */
  long address() {
    return bytes.address();
  }

  int majorVersion() {
    return bytes.getInt(VERSION) >>> 16;
  }

  int minorVersion() {
    return bytes.getInt(VERSION) & 0xFFFF;
  }

  long longestOperation() {
    return bytes.getLong(LONGEST);
  }

  /** How many operations can be outstanding. */
  int operations() {
    return bytes.getInt(OPERATIONS);
  }

  /** Whether the completion queue has something to wait for. */
  boolean waits() {
    return has(WAITS);
  }

  /** Whether it takes a GPU's memory. */
  boolean takesGpuMemory() {
    return has(GPU_MEMORY);
  }

  /** Bytes of a key. */
  int keySize() {
    return (int) Math.min(Long.BYTES, Math.max(1, bytes.getLong(KEY_SIZE)));
  }

  /**
   * Whether nothing of a peer reaches a registration once it is closed: cxi counts what is under
   * way then, and its keys are not shared. Other providers promise nothing of the kind.
   */
  boolean revokes() {
    boolean choosesKeys = (bytes.getInt(MR_MODE) & FI_MR_PROV_KEY) != 0;
    return has(MATCH_EVENTS) && (!choosesKeys || has(KEYS_OF_THEIR_OWN));
  }

  /** The endpoint's address, as fi_getname(3) gives it. */
  byte[] endpointAddress() {
    return bytes.getBytes(ADDRESS, bytes.getInt(ADDRESS_LENGTH));
  }

  private boolean has(int bit) {
    return (bytes.getInt(BITS) & bit) != 0;
  }
}
