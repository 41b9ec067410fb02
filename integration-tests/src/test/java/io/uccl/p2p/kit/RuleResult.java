package io.uccl.p2p.kit;

import org.junit.platform.engine.TestExecutionResult.Status;

/**
 * How a rule ended in another JVM; travels as one line.
 *
 * @param text why it failed or was left out; empty if it did well
 */
record RuleResult(Status status, String rule, String text) {

  String line() {
    return status + "\t" + escaped(rule) + "\t" + escaped(text);
  }

  static RuleResult of(String line) {
    String[] fields = line.split("\t", -1);
    if (fields.length != 3) {
      throw new AssertionError("the other JVM printed what is not a result: " + line);
    }
    return new RuleResult(
        Status.valueOf(fields[0]), fields[1].translateEscapes(), fields[2].translateEscapes());
  }

  private static String escaped(String text) {
    return text.replace("\\", "\\\\")
        .replace("\t", "\\t")
        .replace("\r", "\\r")
        .replace("\n", "\\n");
  }
}
