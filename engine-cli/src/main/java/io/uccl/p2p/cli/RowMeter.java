package io.uccl.p2p.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * Measures a row: warms up the engine and both variants of the raw copy, then measures all three in
 * turn, and takes the better variant as the limit.
 *
 * <p>The variant is chosen by all that was measured and not by a trial before: on a machine that
 * others use too, what a short trial says is often wrong a moment later.
 *
 * <p>One meter for all rows of a run: the first row warms up for longer, because in both processes
 * the code of both sides is not compiled yet.
 */
final class RowMeter {

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

  /** Runs each side for a while, one call and more. */
  void warmUp(Side... sides) throws IOException, InterruptedException {
    double warm = first ? Math.max(FIRST_WARM_UP_SECONDS, seconds) : seconds / 2;
    first = false;
    for (Side side : sides) {
      // What lies between the calls, such as a check of every byte, may take many times longer.
      Sample.take(side, 1, warm, WALL_TIMES * warm);
    }
  }

  /**
   * Measures the three sides in turn. Who is first changes from pair to pair, so that a drift of
   * the machine hits all of them, and each comes after each.
   *
   * @param progress takes the number of the pair that begins, from 1 on
   */
  Measured measure(Side engine, Side blocking, Side spinning, IntConsumer progress)
      throws IOException, InterruptedException {
    List<Side> sides = List.of(engine, blocking, spinning);
    List<Sample[]> rounds = new ArrayList<>();
    for (int pair = 0; pair < pairs; pair++) {
      progress.accept(pair + 1);
      Sample[] round = new Sample[sides.size()];
      for (int place = 0; place < round.length; place++) {
        int side = turn(pair, place, round.length);
        round[side] = Sample.take(sides.get(side), iters, seconds);
      }
      rounds.add(round);
    }
    boolean blockingIsBetter = medianRate(rounds, 1) >= medianRate(rounds, 2);
    int limit = blockingIsBetter ? 1 : 2;
    return new Measured(
        rounds.stream().map(round -> new Row.Pair(round[0], round[limit])).toList(),
        blockingIsBetter ? Variant.BLOCKING : Variant.SPINNING);
  }

  // Forwards from the pair's number on, and backwards in every other pair.
  private static int turn(int pair, int place, int count) {
    return Math.floorMod(pair % 2 == 0 ? pair + place : pair - place, count);
  }

  private static double medianRate(List<Sample[]> rounds, int side) {
    return Median.of(
        rounds.stream().mapToDouble(round -> round[side].gigabytesPerSecond(1)).toArray());
  }

  /**
   * What came of it.
   *
   * @param variant of the raw copy in the pairs
   */
  record Measured(List<Row.Pair> pairs, Variant variant) {}
}
