package io.uccl.p2p.conformance;

import java.util.Arrays;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Runs a class only where {@code p2p.simcxi} names the folder of libfabric 2.1 and the simulated
 * cxi provider; without it says so, and fails if {@code p2p.require} has {@code simcxi}.
 */
public final class NeedsLibfabric implements ExecutionCondition {

  private static final String FOLDER = System.getProperty("p2p.simcxi", "");

  /** Path of libfabric 2.1. */
  public static final String LIBRARY = FOLDER + "/libfabric/lib/libfabric.so.1";

  /** The program that is a peer of the engine and shares no code with it. */
  static final String PEER = FOLDER + "/peer";

  /** For JUnit. */
  public NeedsLibfabric() {}

  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    if (!FOLDER.isEmpty()) {
      return ConditionEvaluationResult.enabled("libfabric and providers are in " + FOLDER);
    }
    String reason = "p2p.simcxi names no folder of libfabric; ./p2p test makes one";
    String required = System.getProperty("p2p.require", "");
    if (Arrays.asList(required.split(",", -1)).contains("simcxi")) {
      throw new AssertionError("p2p.require has simcxi, but " + reason);
    }
    return ConditionEvaluationResult.disabled(reason);
  }
}
