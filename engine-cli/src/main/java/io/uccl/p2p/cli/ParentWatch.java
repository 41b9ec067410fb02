package io.uccl.p2p.cli;

import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Ends this process when its standard input ends, that is, when its parent is gone. */
final class ParentWatch {

  private static final Duration GRACE = Duration.ofSeconds(2);

  private final CountDownLatch ended = new CountDownLatch(1);

  private ParentWatch() {}

  /**
   * Watches on a thread of its own: interrupts the worker first, and halts the process if that was
   * not enough.
   */
  static ParentWatch start(InputStream in, Thread worker) {
    ParentWatch watch = new ParentWatch();
    Thread thread = new Thread(() -> watch.watch(in, worker), "p2p-bench-parent-watch");
    thread.setDaemon(true);
    thread.start();
    return watch;
  }

  /**
   * Waits for the parent's end. Called by the worker, whom only this watch interrupts.
   *
   * @return false if the parent is still there when the time is over
   */
  boolean endsWithin(Duration time) {
    try {
      return ended.await(time.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      return true;
    }
  }

  private void watch(InputStream in, Thread worker) {
    try {
      while (in.read() >= 0) {
        // The parent says nothing that matters.
      }
    } catch (IOException e) {
      // As good as the end.
    }
    ended.countDown();
    worker.interrupt();
    try {
      worker.join(GRACE.toMillis());
    } catch (InterruptedException e) {
      // Nobody does that; halt.
    }
    Runtime.getRuntime().halt(ExitCode.INTERRUPTED);
  }
}
