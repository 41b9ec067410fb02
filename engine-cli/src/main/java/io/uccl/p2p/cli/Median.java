package io.uccl.p2p.cli;

import java.util.Arrays;

/** Order statistics of a handful of numbers. */
final class Median {

  private Median() {}

  /** The middle one, or the mean of the two in the middle. */
  static double of(double... values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  static double least(double... values) {
    return Arrays.stream(values).min().orElseThrow();
  }

  static double most(double... values) {
    return Arrays.stream(values).max().orElseThrow();
  }
}
