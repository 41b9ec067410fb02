package io.uccl.p2p.cli;

/**
 * What one call moves: blocks that lie one after the other.
 *
 * @param size bytes of a block, 1 and more
 * @param numIovs blocks, 1 and more
 */
record Shape(long size, int numIovs) {

  Shape {
    if (size < 1 || numIovs < 1 || size > Long.MAX_VALUE / numIovs) {
      throw new IllegalArgumentException("no shape: " + numIovs + " blocks of " + size + " bytes");
    }
  }

  /** Bytes of a call. */
  long totalBytes() {
    return size * numIovs;
  }
}
