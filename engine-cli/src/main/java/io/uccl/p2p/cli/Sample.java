package io.uccl.p2p.cli;

import java.io.IOException;

/**
 * What one side did in its share of a pair.
 *
 * @param calls how many
 * @param nanos that they took
 */
record Sample(long calls, long nanos) {

  /**
   * Repeats loops of calls until they have taken some time.
   *
   * @param iters calls in a loop
   */
  static Sample take(Side side, int iters, double seconds)
      throws IOException, InterruptedException {
    return take(side, iters, seconds, Double.POSITIVE_INFINITY);
  }

  /**
   * The same, but not for longer than a time by the clock on the wall, rounded up to a loop.
   *
   * @param wallSeconds of the calls and what lies between them
   */
  static Sample take(Side side, int iters, double seconds, double wallSeconds)
      throws IOException, InterruptedException {
    long start = System.nanoTime();
    long least = (long) (seconds * 1e9);
    long calls = 0;
    long nanos = 0;
    do {
      nanos += side.run(iters);
      calls += iters;
    } while (nanos < least && System.nanoTime() - start < wallSeconds * 1e9);
    return new Sample(calls, nanos);
  }

  /** GB is 1e9 bytes. */
  double gigabytesPerSecond(long bytesPerCall) {
    return (double) bytesPerCall * calls / Math.max(1, nanos);
  }
}
