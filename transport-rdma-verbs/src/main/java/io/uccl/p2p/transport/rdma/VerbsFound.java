package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.spi.nativelib.OffHeap;

/** What a NIC turned out to be; {@code p2p_verbs.h} draws it as {@code struct p2p_verbs_found}. */
final class VerbsFound {

  static final int GID_BYTES = 16;

  private static final int LONGEST = 0;
  private static final int LONGEST_MEMORY = 8;
  private static final int SEND_DEPTH = 16;
  private static final int READS_STARTED = 24;
  private static final int READS_SERVED = 28;
  private static final int MTU = 32;
  private static final int LID = 36;
  private static final int LINK_LAYER = 40;
  private static final int ACTIVE = 44;
  private static final int GID = 48;
  private static final int BY_ADDRESS = 64;
  private static final int BYTES = 72;

  private static final int ETHERNET = 2;

  private final OffHeap bytes = new OffHeap(BYTES);

  /** Where the shim writes it. */
  long address() {
    return bytes.address();
  }

  /** Bytes of the longest message. */
  long longestOperation() {
    return bytes.getLong(LONGEST);
  }

  /** Bytes of the longest registration. */
  long longestMemory() {
    return bytes.getLong(LONGEST_MEMORY);
  }

  /** Work requests that a queue pair has room for. */
  int sendDepth() {
    return bytes.getInt(SEND_DEPTH);
  }

  /** Reads that a queue pair may have started. */
  int readsStarted() {
    return bytes.getInt(READS_STARTED);
  }

  /** Reads that a queue pair may serve. */
  int readsServed() {
    return bytes.getInt(READS_SERVED);
  }

  /** As verbs number it: 1 is 256 bytes, 5 is 4096. */
  int pathMtu() {
    return bytes.getInt(MTU);
  }

  /** The port's number on InfiniBand. */
  int lid() {
    return bytes.getInt(LID);
  }

  boolean isEthernet() {
    return bytes.getInt(LINK_LAYER) == ETHERNET;
  }

  /** Whether the port carries anything. */
  boolean isActive() {
    return bytes.getInt(ACTIVE) != 0;
  }

  /** Whether the port reaches peers by address alone, also on InfiniBand. */
  boolean needsAddress() {
    return bytes.getInt(BY_ADDRESS) != 0;
  }

  /** The port's address, or zeros. */
  byte[] gid() {
    return bytes.getBytes(GID, GID_BYTES);
  }
}
