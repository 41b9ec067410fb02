package io.uccl.p2p.engine;

import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Executors that run one thing after the other on a daemon thread. */
final class OneThread {

  private OneThread() {}

  /** Whose thread is there from now on, until the shutdown. */
  static ThreadPoolExecutor started(String threadName) {
    ThreadPoolExecutor executor = named(threadName);
    executor.prestartCoreThread();
    return executor;
  }

  /** Whose thread exists only while there is something to run, and a second longer. */
  static ThreadPoolExecutor onDemand(String threadName) {
    ThreadPoolExecutor executor = named(threadName);
    executor.allowCoreThreadTimeOut(true);
    return executor;
  }

  private static ThreadPoolExecutor named(String threadName) {
    return new ThreadPoolExecutor(
        1,
        1,
        1,
        TimeUnit.SECONDS,
        new LinkedBlockingQueue<>(),
        task -> {
          Thread thread = new Thread(task, threadName);
          thread.setDaemon(true);
          return thread;
        });
  }
}
