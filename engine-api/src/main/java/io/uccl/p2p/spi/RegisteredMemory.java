package io.uccl.p2p.spi;

import io.uccl.p2p.FifoDescriptor;

/** Memory that a transport can send from, receive into and let peers reach. */
public interface RegisteredMemory {

  /**
   * Makes the descriptor of a range. Any thread may call it.
   *
   * @param offset first byte in the memory; the range was checked
   * @param length bytes
   */
  FifoDescriptor describe(long offset, long length);

  /**
   * What the transport wants to find in the slots of operations on this memory: a key or a pointer.
   * Any thread may call it. 0 if it needs none.
   */
  default long localKey() {
    return 0;
  }

  /**
   * Ends the registration. No operation of this process uses it any more. When the call returns, no
   * byte of a peer arrives in it, as far as {@link TransportCapabilities#revokesOnClose()} says.
   * Threads: as {@link Transport}. Idempotent.
   */
  void close();
}
