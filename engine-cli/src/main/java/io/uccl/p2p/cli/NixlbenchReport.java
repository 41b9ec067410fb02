package io.uccl.p2p.cli;

import java.io.PrintStream;
import java.util.Locale;

/**
 * Prints the columns of NIXL's benchmark, as that program defines them: bandwidth over all calls,
 * latency of one block, and the parts of a request.
 */
final class NixlbenchReport implements Report {

  private final PrintStream out;
  private boolean headed;

  NixlbenchReport(PrintStream out) {
    this.out = out;
  }

  @Override
  public void row(Row row, EngineCalls calls) {
    row(row.shape(), calls.preparing(), calls.posting(), calls.moving());
  }

  @Override
  public void end() {
    out.flush();
  }

  void row(Shape shape, Durations preparing, Durations posting, Durations moving) {
    if (!headed) {
      out.println(
          line(
              "Block Size (B)",
              "Batch Size",
              "B/W (GB/Sec)",
              "Avg Lat. (us)",
              "Avg Prep (us)",
              "P99 Prep (us)",
              "Avg Post (us)",
              "P99 Post (us)",
              "Avg Tx (us)",
              "P99 Tx (us)"));
      headed = true;
    }
    double nanos = preparing.sum() + posting.sum() + moving.sum();
    double blocks = (double) shape.numIovs() * moving.count();
    out.println(
        line(
            Long.toString(shape.size()),
            Integer.toString(shape.numIovs()),
            number(shape.size() * blocks / nanos, 6),
            number(nanos / 1e3 / blocks, 1),
            number(preparing.average(), 1),
            number(preparing.p99(), 1),
            number(posting.average(), 1),
            number(posting.p99(), 1),
            number(moving.average(), 1),
            number(moving.p99(), 1)));
    out.flush();
  }

  private static String line(Object... columns) {
    return String.format("%-15s %-11s %-13s %-14s %-14s %-14s %-14s %-14s %-12s %-12s", columns)
        .stripTrailing();
  }

  private static String number(double value, int digits) {
    return String.format(Locale.ROOT, "%." + digits + "f", value);
  }
}
