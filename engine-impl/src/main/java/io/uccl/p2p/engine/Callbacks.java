package io.uccl.p2p.engine;

import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs what callers asked to be told, on a thread of its own, so that it may block and close
 * anything. The thread exists from the beginning: what a connection has to tell must not depend on
 * whether one more thread can be started then.
 */
final class Callbacks implements AutoCloseable {

  private static final Logger LOG = LoggerFactory.getLogger(Callbacks.class);

  private final ThreadPoolExecutor executor;

  Callbacks(String threadName) {
    executor = OneThread.started(threadName);
  }

  /** Any thread. What a callback throws is logged and goes no further. */
  void run(Runnable callback) {
    Runnable guarded =
        () -> {
          try {
            callback.run();
          } catch (RuntimeException | Error e) {
            LOG.warn("a callback threw", e);
          }
        };
    try {
      executor.execute(guarded);
    } catch (RejectedExecutionException e) {
      // Asked for after the close, as by who looks late at a connection that went with its engine.
      executor.getThreadFactory().newThread(guarded).start();
    }
  }

  /** What was asked for still runs; does not wait for it, since a callback may be the caller. */
  @Override
  public void close() {
    executor.shutdown();
  }
}
