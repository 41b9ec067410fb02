package io.uccl.p2p.conformance;

import java.time.Duration;

/** How long something takes, less the time for which the machine had no core for this process. */
final class Stopwatch {

  private static final Starvation STARVATION = Starvation.watch();

  private final Duration starved = STARVATION.total();
  private final long start = System.nanoTime();

  /** Since it was made. */
  Duration taken() {
    Duration all = Duration.ofNanos(System.nanoTime() - start);
    return all.minus(STARVATION.total().minus(starved));
  }
}
