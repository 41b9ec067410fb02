package io.uccl.p2p.engine;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Executors that run one thing after the other on a daemon thread. */
final class OneThread {

  private OneThread() {}

  /** Whose thread is there from now on, until the shutdown. */
  static ThreadPoolExecutor started(String threadName) {
    ThreadPoolExecutor executor =
        new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            task -> {
              Thread thread = new Thread(task, threadName);
              thread.setDaemon(true);
              return thread;
            });
    executor.prestartCoreThread();
    return executor;
  }
}
