package io.uccl.p2p.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * Measures a row: warms both sides up, picks the better raw copy, then measures pairs.
 *
 * <p>One meter for all rows of a run: the first row warms up for longer, because in both processes
 * the code of both sides is not compiled yet.
 */
final class RowMeter {

  private static final int TRIALS = 5;
  private static final double FIRST_WARM_UP_SECONDS = 0.5;
  private static final int WALL_TIMES = 3;

  private final int pairs;
  private final double seconds;
  private final int iters;
  private boolean first = true;

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

  /**
   * Runs the engine and both raw copies until they are warm, and tells the faster of the copies by
   * the medians of trials in turn, which together take twice a side's time.
   */
  Limit better(Side engine, Side blocking, Side spinning) throws IOException, InterruptedException {
    double warm = first ? Math.max(FIRST_WARM_UP_SECONDS, seconds) : seconds / 2;
    first = false;
    warmUp(engine, warm);
    int calls = callsOfATrial(warmUp(blocking, warm), warmUp(spinning, warm));
    double[] ones = new double[TRIALS];
    double[] others = new double[TRIALS];
    for (int i = 0; i < TRIALS; i++) {
      ones[i] = Sample.take(blocking, calls, seconds / TRIALS).gigabytesPerSecond(1);
      others[i] = Sample.take(spinning, calls, seconds / TRIALS).gigabytesPerSecond(1);
    }
    return Median.of(ones) >= Median.of(others)
        ? new Limit(blocking, Variant.BLOCKING)
        : new Limit(spinning, Variant.SPINNING);
  }

  // What lies between the calls, such as a check of every byte, may take many times longer.
  private static Sample warmUp(Side side, double seconds) throws IOException, InterruptedException {
    return Sample.take(side, 1, seconds, WALL_TIMES * seconds);
  }

  // As in a pair, but so that calls which take long do not make a trial many times longer.
  private int callsOfATrial(Sample one, Sample other) {
    double nanos = (double) (one.nanos() + other.nanos()) / (one.calls() + other.calls());
    return (int) Math.max(1, Math.min(iters, seconds / TRIALS * 1e9 / Math.max(1, nanos)));
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

  /** The raw copy that a row is measured against. */
  record Limit(Side side, Variant variant) {}
}
