package io.uccl.p2p.guest;

import java.util.Arrays;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Runs a class only where {@code p2p.guest} is {@code true}, which the launcher sets once it has
 * installed what a guest needs; without it says so, and fails if {@code p2p.require} has {@code
 * guest}.
 */
public final class NeedsGuest implements ExecutionCondition {

  /** For JUnit. */
  public NeedsGuest() {}

  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    if (Boolean.getBoolean("p2p.secondPass")) {
      return ConditionEvaluationResult.disabled("guests are slow: they run in the first pass");
    }
    if (Boolean.getBoolean("p2p.guest")) {
      return ConditionEvaluationResult.enabled("guests can be started");
    }
    String reason = "p2p.guest is not set: no virtual machine with an RDMA device; ./p2p test has";
    String required = System.getProperty("p2p.require", "");
    if (Arrays.asList(required.split(",", -1)).contains("guest")) {
      throw new AssertionError("p2p.require has guest, but " + reason);
    }
    return ConditionEvaluationResult.disabled(reason);
  }
}
