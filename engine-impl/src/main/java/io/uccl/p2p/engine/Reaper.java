package io.uccl.p2p.engine;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs what may take long when things are closed, one after the other, on a thread of its own: what
 * a transport releases, and giving memory back after that. So neither the owner of the transport
 * nor a close has to wait for it. The thread exists from the beginning: what is to be given back
 * must not depend on whether one more thread can be started then.
 *
 * <p>Any thread may call every method.
 */
final class Reaper implements AutoCloseable {

  /** The most that a close waits for it: a close returns within a second, and has more to do. */
  static final long PATIENCE_NANOS = TimeUnit.MILLISECONDS.toNanos(800);

  private static final Logger LOG = LoggerFactory.getLogger(Reaper.class);

  private final ThreadPoolExecutor executor;

  Reaper(String threadName) {
    executor = OneThread.started(threadName);
  }

  /**
   * Runs something after what was handed over before.
   *
   * @param what names it in the log if it throws
   * @return completes when it has run, exceptionally if it threw
   */
  CompletableFuture<Void> run(String what, Runnable work) {
    return CompletableFuture.runAsync(
        () -> {
          try {
            work.run();
          } catch (RuntimeException | Error e) {
            LOG.error("{} failed", what, e);
            throw e;
          }
        },
        executor);
  }

  /**
   * Waits until something has run, whatever interrupts.
   *
   * @param deadline in {@link System#nanoTime}
   * @return false if the deadline came first, or it threw
   */
  static boolean await(CompletableFuture<Void> work, long deadline) {
    boolean interrupted = false;
    try {
      while (true) {
        try {
          work.get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
          return true;
        } catch (TimeoutException | ExecutionException e) {
          return false;
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }

  /** Nothing more is handed over. What was, still runs, and then the thread ends. */
  @Override
  public void close() {
    executor.shutdown();
  }
}
