package io.uccl.p2p.overhead;

import io.uccl.p2p.overhead.Ends.Sample;
import io.uccl.p2p.overhead.Ends.Shape;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.ToDoubleFunction;

/**
 * Measures the engine and the loop in C in turn.
 *
 * <p>The loop waits in two ways: it only asks again, or it leaves its core to others in between.
 * Which is the better one depends on who else wants the core; the better one counts. A pair is made
 * of short turns, so that what else the machine does hits all three alike.
 */
final class Comparison {

  /** Of the engine, and of the loop. */
  private static final int PAIRS = 11;

  private static final int TURNS = 2;
  private static final long TURN_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final int MOST_CALLS = 40_000;

  private final Ends engine;
  private final Ends loop;

  Comparison(Ends engine, Ends loop) {
    this.engine = engine;
    this.loop = loop;
  }

  /**
   * What came of it: medians over the pairs. Times are of one call, in microseconds.
   *
   * @param engineMean mean call of the engine
   * @param loopMean mean call of the loop
   * @param engineMedian median call of the engine
   * @param loopMedian median call of the loop
   * @param share of the loop's rate that the engine reached
   * @param added what a median call took longer with the engine
   */
  record Row(
      Shape shape,
      int calls,
      double engineMean,
      double loopMean,
      double engineMedian,
      double loopMedian,
      double share,
      double added,
      boolean loopSpins) {

    static String header() {
      return String.format(
          "%8s | %8s | %12s | %12s | %12s | %12s | %6s | %9s | %s",
          "num_iovs",
          "bytes",
          "engine GB/s",
          "C loop GB/s",
          "engine us",
          "C loop us",
          "share",
          "added us",
          "the loop");
    }

    @Override
    public String toString() {
      return String.format(
          "%8d | %8d | %12.3f | %12.3f | %12.2f | %12.2f | %6.3f | %9.2f | %s",
          shape.operations(),
          shape.bytes(),
          gigabytesPerSecond(engineMean),
          gigabytesPerSecond(loopMean),
          engineMedian,
          loopMedian,
          share,
          added,
          loopSpins ? "spins" : "yields");
    }

    private double gigabytesPerSecond(double micros) {
      return (double) shape.bytes() * shape.operations() / micros / 1e3;
    }
  }

  /** Measures a shape with as many calls as take a while. */
  Row row(Shape shape) throws IOException {
    long slowest = 1;
    for (Side side : Side.values()) {
      // The second run is warmed up.
      run(side, shape, 2);
      slowest = Math.max(slowest, run(side, shape, 3).median());
    }
    return row(shape, (int) Math.max(2, Math.min(MOST_CALLS, TURN_NANOS / slowest)), TURNS);
  }

  /** Measures a shape with so many calls in each turn. */
  Row row(Shape shape, int calls, int turns) throws IOException {
    List<Pair> pairs = new ArrayList<>();
    for (int pair = 0; pair < PAIRS; pair++) {
      pairs.add(pair(pair, shape, calls, turns));
    }
    boolean loopSpins =
        median(pairs, p -> p.spinning.mean()) <= median(pairs, p -> p.yielding.mean());
    ToDoubleFunction<Pair> loopMean = p -> p.loop(loopSpins).mean();
    ToDoubleFunction<Pair> loopMedian = p -> p.loop(loopSpins).median();
    return new Row(
        shape,
        calls * turns,
        median(pairs, p -> p.engine.mean()),
        median(pairs, loopMean),
        median(pairs, p -> p.engine.median()),
        median(pairs, loopMedian),
        median(pairs, p -> loopMean.applyAsDouble(p) / p.engine.mean()),
        median(pairs, p -> p.engine.median() - loopMedian.applyAsDouble(p)),
        loopSpins);
  }

  private enum Side {
    ENGINE,
    SPINNING,
    YIELDING
  }

  private Pair pair(int number, Shape shape, int calls, int turns) throws IOException {
    Pair pair = new Pair();
    for (int turn = 0; turn < turns; turn++) {
      for (int place = 0; place < Side.values().length; place++) {
        Side side = Side.values()[(number + turn + place) % Side.values().length];
        pair.of(side).add(run(side, shape, calls), calls);
      }
    }
    return pair;
  }

  private Sample run(Side side, Shape shape, int calls) throws IOException {
    return switch (side) {
      case ENGINE -> engine.run(shape, calls, false);
      case SPINNING -> loop.run(shape, calls, true);
      case YIELDING -> loop.run(shape, calls, false);
    };
  }

  private static final class Pair {

    final Calls engine = new Calls();
    final Calls spinning = new Calls();
    final Calls yielding = new Calls();

    Calls of(Side side) {
      return switch (side) {
        case ENGINE -> engine;
        case SPINNING -> spinning;
        case YIELDING -> yielding;
      };
    }

    Calls loop(boolean spins) {
      return spins ? spinning : yielding;
    }
  }

  /** The turns of one side in a pair. */
  private static final class Calls {

    private final List<Sample> samples = new ArrayList<>();
    private long calls;

    void add(Sample sample, int count) {
      samples.add(sample);
      calls += count;
    }

    double mean() {
      return samples.stream().mapToLong(Sample::total).sum() / 1e3 / calls;
    }

    double median() {
      return Comparison.median(samples, sample -> sample.median() / 1e3);
    }
  }

  /** The middle one of what things have. */
  static <T> double median(List<T> of, ToDoubleFunction<T> what) {
    double[] sorted = of.stream().mapToDouble(what).sorted().toArray();
    return sorted[sorted.length / 2];
  }
}
