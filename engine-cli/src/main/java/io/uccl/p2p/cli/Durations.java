package io.uccl.p2p.cli;

import java.util.Arrays;

/** Nanoseconds of one thing that was done many times, every one of them kept. */
final class Durations {

  private long[] values = new long[1024];
  private int count;

  void add(long nanos) {
    if (count == values.length) {
      values = Arrays.copyOf(values, count * 2);
    }
    values[count++] = nanos;
  }

  void clear() {
    count = 0;
  }

  int count() {
    return count;
  }

  long sum() {
    return Arrays.stream(values, 0, count).sum();
  }

  /** Microseconds. */
  double average() {
    return sum() / 1e3 / count;
  }

  /** Microseconds: the value at {@code min(floor(0.99 n), n - 1)} of the sorted ones. */
  double p99() {
    long[] sorted = Arrays.copyOf(values, count);
    Arrays.sort(sorted);
    return sorted[Math.min((int) (0.99 * count), count - 1)] / 1e3;
  }
}
