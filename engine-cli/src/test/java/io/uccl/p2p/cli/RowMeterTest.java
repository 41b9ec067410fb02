package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class RowMeterTest {

  private static final Shape SHAPE = new Shape(1000, 10);

  @Test
  void repeatsTheLoopUntilTheTimeIsOver() throws Exception {
    Sample sample = Sample.take(calls -> calls * 30_000_000L, 4, 0.25);
    assertThat(sample).isEqualTo(new Sample(12, 360_000_000));
    assertThat(sample.gigabytesPerSecond(3_000_000)).isEqualTo(0.1, within(1e-9));
  }

  @Test
  void endsByTheClockOnTheWallIfThatComesFirst() throws Exception {
    long start = System.nanoTime();
    Sample sample = Sample.take(calls -> calls, 1, 3600, 0.05);
    assertThat(System.nanoTime() - start).isBetween(50_000_000L, 20_000_000_000L);
    assertThat(sample.calls()).isPositive();
  }

  @Test
  void measuresInTurnAndCountsThePairs() throws Exception {
    List<String> order = new ArrayList<>();
    List<Integer> progress = new ArrayList<>();
    RowMeter.Measured measured =
        new RowMeter(6, 0.001, 2)
            .measure(
                recording(order, "engine", 3),
                recording(order, "blocking", 5),
                recording(order, "spinning", 6),
                progress::add);
    List<String> rounds = new ArrayList<>();
    for (int i = 0; i < order.size(); i += 3) {
      rounds.add(String.join(" ", order.subList(i, i + 3)));
    }
    // All the orders that there are, each once.
    assertThat(rounds)
        .containsExactly(
            "engine blocking spinning",
            "blocking engine spinning",
            "spinning engine blocking",
            "engine spinning blocking",
            "blocking spinning engine",
            "spinning blocking engine");
    assertThat(progress).containsExactly(1, 2, 3, 4, 5, 6);
    assertThat(measured.pairs())
        .containsOnly(new Row.Pair(new Sample(2, 6_000_000), new Sample(2, 10_000_000)))
        .hasSize(6);
  }

  @Test
  void theLimitIsTheFasterRawCopyWhateverItsPlace() throws Exception {
    Side engine = calls -> calls * 4_000_000L;
    Side slow = calls -> calls * 2_000_000L;
    Side fast = calls -> calls * 1_000_000L;
    Row.Pair pair = new Row.Pair(new Sample(1, 4_000_000), new Sample(1, 1_000_000));
    RowMeter meter = new RowMeter(2, 0.001, 1);
    assertThat(meter.measure(engine, slow, fast, n -> {}))
        .isEqualTo(new RowMeter.Measured(List.of(pair, pair), Variant.SPINNING));
    assertThat(meter.measure(engine, fast, slow, n -> {}))
        .isEqualTo(new RowMeter.Measured(List.of(pair, pair), Variant.BLOCKING));
  }

  @Test
  void oneSlowPairDoesNotDecide() throws Exception {
    // One in three of its runs is ten times slower; the other side is always a bit slower.
    AtomicInteger runs = new AtomicInteger();
    Side jumpy = calls -> calls * (runs.getAndIncrement() % 3 == 1 ? 100_000_000L : 10_000_000L);
    Side steady = calls -> calls * 12_000_000L;
    RowMeter meter = new RowMeter(3, 0.001, 1);
    assertThat(meter.measure(steady, jumpy, steady, n -> {}).variant()).isEqualTo(Variant.BLOCKING);
  }

  @Test
  void warmsUpForLongerInTheFirstRow() throws Exception {
    Recorded engine = new Recorded(1_000_000);
    Recorded copy = new Recorded(2_000_000);
    RowMeter meter = new RowMeter(1, 0.1, 16);
    meter.warmUp(engine, copy);
    assertThat(engine.nanos).isEqualTo(500_000_000);
    assertThat(copy.nanos).isEqualTo(500_000_000);
    assertThat(engine.largestRun).isEqualTo(1);
    meter.warmUp(engine, copy);
    assertThat(engine.nanos).isEqualTo(550_000_000);
  }

  @Test
  void drawsMediansFromPairsAndNotFromTotals() {
    // Per call 10,000 bytes: 1, 2, 4 GB/s against a limit of 2, 10, 5.
    List<Row.Pair> pairs = List.of(pair(10, 5), pair(5, 1), pair(2.5, 2));
    Row row = Row.of(SHAPE, Variant.BLOCKING, 16, pairs, 7.5, 9);
    assertThat(row.gbS()).isEqualTo(2, within(1e-9));
    assertThat(row.gbSMin()).isEqualTo(1, within(1e-9));
    assertThat(row.gbSMax()).isEqualTo(4, within(1e-9));
    assertThat(row.limitGbS()).isEqualTo(5, within(1e-9));
    // The shares are 0.5, 0.2 and 0.8; the share of the medians would be 0.4.
    assertThat(row.shareOfLimit()).isEqualTo(0.5, within(1e-9));
  }

  @Test
  void medianOfAnEvenNumberLiesBetween() {
    assertThat(Median.of(4, 1, 3, 2)).isEqualTo(2.5);
    assertThat(Median.of(9)).isEqualTo(9);
  }

  @Test
  void durationsAreKeptOneByOne() {
    Durations durations = new Durations();
    for (int i = 5000; i >= 1; i--) {
      durations.add(i * 1000L);
    }
    assertThat(durations.count()).isEqualTo(5000);
    assertThat(durations.average()).isEqualTo(2500.5);
    assertThat(durations.p99()).isEqualTo(4951);
    durations.clear();
    durations.add(3000);
    assertThat(durations.p99()).isEqualTo(3);
    assertThat(durations.sum()).isEqualTo(3000);
  }

  private static Row.Pair pair(double engineMicros, double limitMicros) {
    return new Row.Pair(
        new Sample(1000, (long) (engineMicros * 1e6)),
        new Sample(1000, (long) (limitMicros * 1e6)));
  }

  /** A side whose calls take equally long. */
  private static final class Recorded implements Side {
    private final long nanosOfACall;
    private long nanos;
    private int largestRun;

    Recorded(long nanosOfACall) {
      this.nanosOfACall = nanosOfACall;
    }

    @Override
    public long run(int calls) {
      largestRun = Math.max(largestRun, calls);
      nanos += calls * nanosOfACall;
      return calls * nanosOfACall;
    }
  }

  private static Side recording(List<String> order, String name, int millis) {
    return calls -> {
      order.add(name);
      return calls * millis * 1_000_000L;
    };
  }
}
