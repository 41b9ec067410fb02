package io.uccl.p2p;

import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * One or more operations on their way, and how they end.
 *
 * <p><b>Threads.</b> Any thread may ask; one thread at a time may wait.
 *
 * <p><b>Time.</b> Every transfer ends: with success, with a failure of the network or the peer, or
 * with {@link DeadlineExceededException} once its deadline has passed. Without an explicit deadline
 * that is 30 seconds without progress. A wait that is given up does not end the transfer. Some
 * networks cannot call an operation back; then the transfer ends all the same, and {@link
 * #buffer()} tells when they have let go of its memory.
 */
public interface Transfer {

  /** How far it is. Makes no progress by itself, see {@link #poll()}. */
  TransferStatus status();

  /**
   * Makes progress if no other thread is doing so, and tells whether the transfer has ended, well
   * or not. Never blocks and never throws.
   */
  boolean poll();

  /**
   * Waits until the transfer has ended, whatever that takes; its deadline bounds it.
   *
   * @throws InterruptedException if interrupted; the transfer goes on
   * @throws P2pException the transfer's {@link #failure()}
   */
  void await() throws InterruptedException;

  /**
   * Waits until the transfer has ended or the time is over.
   *
   * @return true if it has ended well, false if the time is over and the transfer goes on
   * @throws InterruptedException if interrupted; the transfer goes on
   * @throws P2pException the transfer's {@link #failure()}
   */
  boolean await(Duration timeout) throws InterruptedException;

  /** Why it failed, naming the first operation that did; null unless the status is FAILED. */
  @Nullable P2pException failure();

  /**
   * Whether the local memory may be used again. Always FREE after success. IN_USE while in flight,
   * and after a failure as long as the network may still touch the memory. It becomes FREE by
   * itself; the transfer stays failed.
   */
  BufferState buffer();
}
