package io.uccl.p2p.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/** Measures a row: warms both sides up, picks the better raw copy, then measures pairs. */
final class RowMeter {

  private static final int TRIALS = 3;

  private final int pairs;
  private final double seconds;
  private final int iters;

  /**
   * Makes a meter.
   *
   * @param pairs how many
   * @param seconds least time of each side of a pair
   * @param iters calls in a loop
   */
  RowMeter(int pairs, double seconds, int iters) {
    this.pairs = pairs;
    this.seconds = seconds;
    this.iters = iters;
  }

  /** Runs a side for a quarter of its time, one call and more. */
  void warmUp(Side side) throws IOException, InterruptedException {
    Sample.take(side, 1, seconds / 4);
  }

  /** The faster of two sides, by the medians of short trials in turn. */
  Side better(Side one, Side other) throws IOException, InterruptedException {
    warmUp(one);
    warmUp(other);
    double[] ones = new double[TRIALS];
    double[] others = new double[TRIALS];
    for (int i = 0; i < TRIALS; i++) {
      ones[i] = Sample.take(one, iters, seconds / 5).gigabytesPerSecond(1);
      others[i] = Sample.take(other, iters, seconds / 5).gigabytesPerSecond(1);
    }
    return Median.of(ones) >= Median.of(others) ? one : other;
  }

  /**
   * Measures both sides in turn; who is first alternates, so that a drift hits both.
   *
   * @param progress takes the number of the pair that begins, from 1 on
   */
  List<Row.Pair> measure(Side engine, Side limit, IntConsumer progress)
      throws IOException, InterruptedException {
    List<Row.Pair> measured = new ArrayList<>();
    for (int i = 0; i < pairs; i++) {
      progress.accept(i + 1);
      Sample first = Sample.take(i % 2 == 0 ? engine : limit, iters, seconds);
      Sample second = Sample.take(i % 2 == 0 ? limit : engine, iters, seconds);
      measured.add(i % 2 == 0 ? new Row.Pair(first, second) : new Row.Pair(second, first));
    }
    return measured;
  }
}
