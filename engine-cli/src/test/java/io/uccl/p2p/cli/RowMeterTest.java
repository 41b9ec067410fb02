package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
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
    Side slow = calls -> calls * 2_000_000L;
    Side fast = calls -> calls * 1_000_000L;
    RowMeter meter = new RowMeter(1, 0.01, 1);
    assertThat(meter.better(slow, fast)).isSameAs(fast);
    assertThat(meter.better(fast, slow)).isSameAs(fast);
  }

  @Test
  void drawsMediansFromPairsAndNotFromTotals() {
    // Per call 10,000 bytes: 1, 2, 4 GB/s against a limit of 2, 10, 5.
    List<Row.Pair> pairs = List.of(pair(10, 5), pair(5, 1), pair(2.5, 2));
    Row row = Row.of(SHAPE, 16, pairs, 7.5, 9);
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

  private static Side recording(List<String> order, String name, int millis) {
    return calls -> {
      order.add(name);
      return calls * millis * 1_000_000L;
    };
  }
}
