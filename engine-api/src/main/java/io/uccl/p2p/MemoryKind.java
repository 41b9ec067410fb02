package io.uccl.p2p;

/** Where the bytes of a region are. */
public enum MemoryKind {
  /** In the machine's memory, which Java reads and writes through buffers. */
  HOST,
  /**
   * In the memory of an NVIDIA GPU, which the network reads and writes without the machine's
   * memory. Java cannot touch it.
   */
  CUDA
}
