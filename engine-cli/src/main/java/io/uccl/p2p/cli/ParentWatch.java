package io.uccl.p2p.cli;

import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;

/** Ends this process when its standard input ends, that is, when its parent is gone. */
final class ParentWatch {

  private static final Duration GRACE = Duration.ofSeconds(2);

  private ParentWatch() {}

  /**
   * Watches on a thread of its own: interrupts the worker first, and halts the process if that was
   * not enough.
   */
  static void start(InputStream in, Thread worker) {
    Thread watch = new Thread(() -> watch(in, worker), "p2p-bench-parent-watch");
    watch.setDaemon(true);
    watch.start();
  }

  private static void watch(InputStream in, Thread worker) {
    try {
      while (in.read() >= 0) {
        // The parent says nothing that matters.
      }
    } catch (IOException e) {
      // As good as the end.
    }
    worker.interrupt();
    try {
      worker.join(GRACE.toMillis());
    } catch (InterruptedException e) {
      // Nobody does that; halt.
    }
    Runtime.getRuntime().halt(ExitCode.INTERRUPTED);
  }
}
