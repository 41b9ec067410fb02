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
   * Ends the registration, quickly. When the call returns, no byte of a peer arrives in it, as far
   * as {@link TransportCapabilities#revokesOnClose()} says. No operation of this process uses it
   * any more, except those that the engine has declared failed and that were not reported yet;
   * these are still reported. Threads: as {@link Transport}. Idempotent.
   *
   * @throws io.uccl.p2p.TransportException if the network keeps the registration. Whoever closes
   *     the region gets it, and the call is repeated with the next close of the region or the
   *     engine
   */
  void close();

  /**
   * Frees what the registration holds of hardware, such as pinned pages; may block for long. When
   * the call returns, nothing can touch the memory any more: memory that the engine allocated is
   * given back only then.
   *
   * <p>Called once, after {@link #close}, when the last operation that used the memory was
   * reported, or, for an engine that is closed, before {@link Transport#release}. Called on the
   * engine's thread for releases, while others drive the transport. By default does nothing.
   */
  default void release() {}
}
