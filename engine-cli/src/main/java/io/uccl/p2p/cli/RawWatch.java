package io.uccl.p2p.cli;

import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Closes the socket of a raw copy on which nothing moves any more: a blocking channel has no
 * timeout of its own.
 */
final class RawWatch implements AutoCloseable {

  private final SocketChannel channel;
  private final Duration patience;
  private final ScheduledExecutorService looks;

  /** What is running, or null. */
  private volatile @Nullable RawEnd running;

  private volatile boolean stuck;

  // What the last look found; of the looking thread alone.
  private @Nullable RawEnd seen;
  private long seenMoves;
  private long unchangedSince;

  RawWatch(SocketChannel channel, Duration patience) {
    this.channel = channel;
    this.patience = patience;
    this.looks =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread thread = new Thread(task, "p2p-bench-limit-watch");
              thread.setDaemon(true);
              return thread;
            });
    long period = Math.max(1, patience.toMillis() / 30);
    var unused = looks.scheduleWithFixedDelay(this::look, period, period, TimeUnit.MILLISECONDS);
  }

  void begin(RawEnd end) {
    running = end;
  }

  void end() {
    running = null;
  }

  /** Whether it has closed the channel. */
  boolean isStuck() {
    return stuck;
  }

  private void look() {
    RawEnd now = running;
    if (now == null || now != seen || now.moves() != seenMoves) {
      seen = now;
      seenMoves = now == null ? 0 : now.moves();
      unchangedSince = System.nanoTime();
    } else if (System.nanoTime() - unchangedSince > patience.toNanos()) {
      stuck = true;
      try {
        channel.close();
      } catch (IOException e) {
        // Closed all the same.
      }
      looks.shutdown();
    }
  }

  @Override
  public void close() {
    looks.shutdownNow();
  }
}
