package io.uccl.p2p.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;

/** Prints one JSON object when all rows are there. */
final class JsonReport implements Report {

  private final PrintStream out;
  private final ObjectNode root = JsonNodeFactory.instance.objectNode();
  private final ArrayNode rows;

  JsonReport(PrintStream out, Heading heading) {
    this.out = out;
    root.put("version", heading.version());
    root.put("transport", heading.transport());
    root.put("simulated", heading.simulated());
    root.put("mode", heading.mode().toString());
    root.putObject("limit").put("name", heading.limit());
    this.rows = root.putArray("rows");
  }

  @Override
  public void row(Row row, EngineCalls calls) {
    row(row);
  }

  @Override
  public void end() {
    out.println(root.toPrettyString());
    out.flush();
  }

  void row(Row row) {
    ObjectNode fields = rows.addObject();
    Figures.of(row).forEach(fields::put);
  }
}
