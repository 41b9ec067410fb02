package io.uccl.p2p.transport.cxi;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * Opens endpoints, and closes those that failed: each on a thread of its own, because libfabric
 * takes seconds for it.
 *
 * <p>Threads: {@link #open} and {@link #close} are the transport's owner's.
 */
final class CxiEndpoints {

  private final CxiOpening opening;

  /** Guarded by itself. */
  private final List<FutureTask<Void>> closing = new ArrayList<>();

  /** All endpoints are opened in the same way. */
  CxiEndpoints(CxiOpening opening) {
    this.opening = opening;
  }

  /** See {@link CxiOpening#refusesAlone}. */
  boolean refuseAlone() {
    return opening.refusesAlone();
  }

  /**
   * Opens one.
   *
   * @throws io.uccl.p2p.TransportUnavailableException if libfabric refuses
   */
  CxiEndpoint open() {
    return CxiEndpoint.open(opening);
  }

  /** Closes a failed one. {@code then} runs when nothing touches any memory for it any more. */
  void close(CxiEndpoint failed, Runnable then) {
    FutureTask<Void> close =
        new FutureTask<>(
            () -> {
              failed.shutDown();
              then.run();
            },
            null);
    synchronized (closing) {
      closing.removeIf(FutureTask::isDone);
      closing.add(close);
    }
    Thread thread = new Thread(null, close, "p2p-cxi-close", 0, false);
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * Waits until all failed ones are closed.
   *
   * @throws io.uccl.p2p.TransportException if libfabric keeps something
   */
  void awaitClosed() {
    List<FutureTask<Void>> all;
    synchronized (closing) {
      all = List.copyOf(closing);
    }
    boolean interrupted = false;
    for (FutureTask<Void> each : all) {
      interrupted |= awaitClosed(each);
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Returns true if the thread was interrupted meanwhile. */
  private static boolean awaitClosed(FutureTask<Void> close) {
    boolean interrupted = false;
    while (true) {
      try {
        close.get();
        return interrupted;
      } catch (InterruptedException e) {
        interrupted = true;
      } catch (ExecutionException e) {
        throw new IllegalStateException("a failed endpoint could not be closed", e.getCause());
      }
    }
  }
}
