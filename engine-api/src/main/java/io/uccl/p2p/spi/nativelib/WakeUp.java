package io.uccl.p2p.spi.nativelib;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportUnavailableException;

/**
 * Ends the blocking wait of a native transport from any thread: a descriptor that the wait polls
 * beside its own, and reads ({@code eventfd(2)}). One that is given while nobody waits ends the
 * next wait.
 *
 * <p>Thread-safe. Only to be used where {@link NativeMemory#availability} is given.
 */
public final class WakeUp implements AutoCloseable {

  private final int descriptor;
  private boolean closed;

  /**
   * Opens one.
   *
   * @param transport its name, for the failure
   * @throws TransportUnavailableException if this process has no descriptor left
   */
  public WakeUp(String transport) {
    long result = MemoryShim.openWakeUp();
    if (result < 0) {
      throw new TransportUnavailableException(
          "no eventfd: " + Errno.describe((int) -result),
          FailureDetail.remedy("Raise the limit of open files (ulimit -n)")
              .withTransport(transport));
    }
    descriptor = (int) result;
  }

  /** For the wait; closed with this. */
  public int descriptor() {
    return descriptor;
  }

  /** Ends the present or the next wait. Does nothing once it is closed. */
  public synchronized void give() {
    if (!closed) {
      MemoryShim.giveWakeUp(descriptor);
    }
  }

  /** Closes it, when nobody waits any more. Idempotent. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      MemoryShim.closeWakeUp(descriptor);
    }
  }
}
