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
  void measuresPairsInTurnAndCountsThem() throws Exception {
    List<String> order = new ArrayList<>();
    List<Integer> progress = new ArrayList<>();
    List<Row.Pair> pairs =
        new RowMeter(3, 0.001, 2)
            .measure(recording(order, "engine", 3), recording(order, "limit", 5), progress::add);
    assertThat(order).containsExactly("engine", "limit", "limit", "engine", "engine", "limit");
    assertThat(progress).containsExactly(1, 2, 3);
    assertThat(pairs)
        .containsOnly(new Row.Pair(new Sample(2, 6_000_000), new Sample(2, 10_000_000)))
        .hasSize(3);
  }

  @Test
  void takesTheFasterRawCopyWhateverItsPlace() throws Exception {
    Side engine = calls -> calls * 1_000_000L;
    Side slow = calls -> calls * 2_000_000L;
    Side fast = calls -> calls * 1_000_000L;
    RowMeter meter = new RowMeter(1, 0.01, 1);
    assertThat(meter.better(engine, slow, fast))
        .isEqualTo(new RowMeter.Limit(fast, Variant.SPINNING));
    assertThat(meter.better(engine, fast, slow))
        .isEqualTo(new RowMeter.Limit(fast, Variant.BLOCKING));
  }

  @Test
  void oneSlowTrialDoesNotDecide() throws Exception {
    // Every seventh run is ten times slower; the other side is always a bit slower.
    AtomicInteger runs = new AtomicInteger();
    Side jumpy = calls -> calls * (runs.getAndIncrement() % 7 == 6 ? 100_000_000L : 10_000_000L);
    Side steady = calls -> calls * 12_000_000L;
    RowMeter meter = new RowMeter(1, 0.1, 1);
    assertThat(meter.better(steady, jumpy, steady).variant()).isEqualTo(Variant.BLOCKING);
  }

  @Test
  void warmsUpForLongerInTheFirstRow() throws Exception {
    Recorded engine = new Recorded(1_000_000);
    Recorded blocking = new Recorded(2_000_000);
    Recorded spinning = new Recorded(3_000_000);
    RowMeter meter = new RowMeter(1, 0.1, 16);
    meter.better(engine, blocking, spinning);
    assertThat(engine.nanos).isEqualTo(500_000_000);
    assertThat(blocking.nanos).isGreaterThanOrEqualTo(600_000_000);
    assertThat(spinning.nanos).isGreaterThanOrEqualTo(600_000_000);
    assertThat(engine.largestRun).isEqualTo(1);
    engine.nanos = 0;
    meter.better(engine, blocking, spinning);
    assertThat(engine.nanos).isEqualTo(50_000_000);
  }

  @Test
  void trialsOfCallsThatTakeLongAreShort() throws Exception {
    Recorded slow = new Recorded(150_000_000);
    new RowMeter(1, 1, 16).better(slow, slow, slow);
    assertThat(slow.largestRun).isEqualTo(1);
    Recorded quick = new Recorded(1_000_000);
    new RowMeter(1, 1, 16).better(quick, quick, quick);
    assertThat(quick.largestRun).isEqualTo(16);
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
