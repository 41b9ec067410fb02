package io.uccl.p2p.guest;

import io.uccl.p2p.conformance.KitRules;
import io.uccl.p2p.kit.KitProcess;
import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The kit on the rdma transport: two processes in one guest, over its RDMA device. Each rule is a
 * test here too.
 */
@Tag("vm")
@ExtendWith(NeedsGuest.class)
class VerbsConformanceTest {

  /** For all rules together: emulation is slow, and the machine may be busy. */
  private static final int SECONDS = 2400;

  /**
   * For the JVMs in the guest: under emulation a compiler that optimizes costs more than it gives.
   */
  static final String JVM_OPTIONS = "JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

  /** The kit's own limits of a rule are for machines that are not emulated. */
  static final String NO_LIMIT_OF_A_RULE = "-Djunit.jupiter.execution.timeout.mode=disabled";

  @TestFactory
  Stream<DynamicTest> rdmaPasses() throws IOException {
    KitProcess kit =
        KitProcess.start(
            Guest.command("-t", Integer.toString(SECONDS), "env", JVM_OPTIONS),
            System.getProperty("java.class.path"),
            VerbsKit.class.getName(),
            "!prove-only",
            List.of(NO_LIMIT_OF_A_RULE));
    return kit.tests(KitRules.everyday(KitRules.groups()));
  }
}
