package io.uccl.p2p.engine;

import java.time.Duration;

/** Durations as nanoseconds that can be added to a clock without overflow. */
final class Nanos {

  // A century: long enough to be for ever, short enough to add to any System.nanoTime.
  private static final long MOST = 100L * 365 * 24 * 3600 * 1_000_000_000L;

  private Nanos() {}

  /** The duration's nanoseconds, between 0 and a century. Allocates nothing. */
  static long of(Duration duration) {
    if (duration.isNegative()) {
      return 0;
    }
    return duration.toSeconds() > MOST / 1_000_000_000L ? MOST : duration.toNanos();
  }
}
