package io.uccl.p2p.cli;

import java.io.PrintStream;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Prints comma-separated values under a header; what all rows have in common stands in each. */
final class CsvReport implements Report {

  private final PrintStream out;
  private final Heading heading;
  private boolean headed;

  CsvReport(PrintStream out, Heading heading) {
    this.out = out;
    this.heading = heading;
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
    Map<String, BigDecimal> figures = Figures.of(row);
    if (!headed) {
      out.println("version,transport,simulated,mode,limit," + String.join(",", figures.keySet()));
      headed = true;
    }
    List<String> values = new ArrayList<>();
    values.add(quoted(heading.version()));
    values.add(quoted(heading.transport()));
    values.add(Boolean.toString(heading.simulated()));
    values.add(heading.mode().toString());
    values.add(quoted(heading.limit()));
    figures.values().forEach(value -> values.add(value.toPlainString()));
    out.println(String.join(",", values));
    out.flush();
  }

  private static String quoted(String text) {
    return text.matches("[^,\"\\r\\n]*") ? text : '"' + text.replace("\"", "\"\"") + '"';
  }
}
