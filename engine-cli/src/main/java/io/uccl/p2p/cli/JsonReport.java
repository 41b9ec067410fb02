package io.uccl.p2p.cli;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;

/**
 * Prints one JSON object when all rows are there. Beside the limit's name stands the variant that
 * each row was measured against.
 */
final class JsonReport implements Report {

  private final PrintStream out;
  private final ObjectNode root = JsonNodeFactory.instance.objectNode();
  private final ArrayNode variants;
  private final ArrayNode rows;

  JsonReport(PrintStream out, Heading heading) {
    this.out = out;
    root.put("version", heading.version());
    root.put("transport", heading.transport());
    root.put("simulated", heading.simulated());
    root.put("mode", heading.mode().toString());
    ObjectNode limit = root.putObject("limit").put("name", heading.limit());
    this.variants = limit.putArray("variant");
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
    variants.add(row.variant().toString());
    ObjectNode fields = rows.addObject();
    Figures.of(row).forEach(fields::put);
  }
}
