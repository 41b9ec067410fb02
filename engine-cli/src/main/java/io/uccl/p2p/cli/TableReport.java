package io.uccl.p2p.cli;

import java.io.PrintStream;
import java.util.List;
import java.util.Locale;

/** Prints a table for people, a heading over each block size if there are several. */
final class TableReport implements Report {

  private final PrintStream out;
  private final boolean severalSizes;
  private long size;

  TableReport(PrintStream out, List<Long> sizes) {
    this.out = out;
    this.severalSizes = sizes.stream().distinct().count() > 1;
  }

  @Override
  public void row(Row row, EngineCalls calls) {
    row(row);
  }

  @Override
  public void end() {
    out.flush();
  }

  void row(Row row) {
    if (size != row.shape().size()) {
      if (severalSizes) {
        String gap = size == 0 ? "" : System.lineSeparator();
        String label = Sizes.label(row.shape().size());
        String bytes = Long.toString(row.shape().size());
        out.println(gap + "size " + bytes + (label.equals(bytes) ? "" : " (" + label + ")"));
      }
      size = row.shape().size();
      out.println(line("num_iovs", "total_bytes", "GB/s", "share of limit", "us"));
    }
    out.println(
        line(
            Integer.toString(row.shape().numIovs()),
            Long.toString(row.shape().totalBytes()),
            number(row.gbS(), row.gbS() < 1 ? 4 : 2),
            number(row.shareOfLimit(), 3),
            number(row.usP50(), 2)));
    out.flush();
  }

  private static String line(String iovs, String bytes, String rate, String share, String us) {
    return String.format("%8s | %12s | %7s | %14s | %10s", iovs, bytes, rate, share, us);
  }

  private static String number(double value, int digits) {
    return String.format(Locale.ROOT, "%." + digits + "f", value);
  }
}
