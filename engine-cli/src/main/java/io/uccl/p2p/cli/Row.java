package io.uccl.p2p.cli;

import java.util.List;

/**
 * One line of results. Rates are in 1e9 bytes a second, latencies in microseconds of a whole call.
 *
 * @param variant of the raw copy that was the limit
 * @param gbS median over the pairs
 * @param limitGbS median over the pairs
 * @param shareOfLimit median of the shares of the pairs, not the share of the medians
 */
record Row(
    Shape shape,
    Variant variant,
    int iters,
    double gbS,
    double gbSMin,
    double gbSMax,
    double limitGbS,
    double shareOfLimit,
    double usP50,
    double usP99) {

  /** Draws a row's figures from its pairs. */
  static Row of(
      Shape shape, Variant variant, int iters, List<Pair> pairs, double usP50, double usP99) {
    long bytes = shape.totalBytes();
    double[] engine =
        pairs.stream().mapToDouble(p -> p.engine().gigabytesPerSecond(bytes)).toArray();
    double[] limit = pairs.stream().mapToDouble(p -> p.limit().gigabytesPerSecond(bytes)).toArray();
    double[] shares = new double[pairs.size()];
    for (int i = 0; i < shares.length; i++) {
      shares[i] = engine[i] / limit[i];
    }
    return new Row(
        shape,
        variant,
        iters,
        Median.of(engine),
        Median.least(engine),
        Median.most(engine),
        Median.of(limit),
        Median.of(shares),
        usP50,
        usP99);
  }

  /** Engine and limit, measured one right after the other. */
  record Pair(Sample engine, Sample limit) {}
}
