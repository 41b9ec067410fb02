package io.uccl.p2p.guest;

import io.uccl.p2p.conformance.KitRules;
import io.uccl.p2p.conformance.TransportConformance;
import io.uccl.p2p.conformance.VerbsEngineFailures;
import io.uccl.p2p.kit.KitProcess;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * The rdma transport between two guests with a cable between them: tests run in the first one,
 * their peers in the second. Each of the tests is one here too.
 */
@Tag("vm")
@ExtendWith(NeedsGuest.class)
class VerbsTwoGuestsTest {

  /** Emulation is slow, and the machine may be busy. */
  private static final int SECONDS = Boolean.getBoolean("p2p.prove") ? 7200 : 2400;

  /** What does not cross the network, or not over RDMA, is run in one guest alone. */
  private static final List<Class<?>> GROUPS =
      List.of(
          TransportConformance.Data.class,
          TransportConformance.Local.class,
          TransportConformance.Refusals.class,
          TransportConformance.Connections.class,
          TransportConformance.InProcess.class);

  @TempDir Path link;

  @TestFactory
  Stream<DynamicTest> rdmaPasses() throws IOException {
    return run(1, VerbsTwoGuestsKit.class, GROUPS, KitRules.everyday(GROUPS));
  }

  @TestFactory
  @Tag("prove")
  @Tag("failures-rdma")
  Stream<DynamicTest> failuresAreToldInTimeAndByTheirCause() throws IOException {
    // Soft RoCE sends within the call that posts, and the scheduler does not count that time: a
    // thread that posts may have the only processor for seconds, while the test waits for it.
    return run(
        2, VerbsEngineFailures.class, List.of(), KitProcess.testsOf(VerbsEngineFailures.class));
  }

  private Stream<DynamicTest> run(
      int processors, Class<?> tests, List<Class<?>> groups, List<String> expected)
      throws IOException {
    // Two guests with one processor each are faster than with more, where the machine has two.
    Guest peers = Guest.startVisibly(options(1, 2), agent());
    List<String> first =
        new ArrayList<>(Guest.command(options(processors, 1).toArray(String[]::new)));
    first.addAll(List.of("env", VerbsConformanceTest.JVM_OPTIONS));
    return KitProcess.start(
            first,
            System.getProperty("java.class.path"),
            tests.getName(),
            "!prove-only",
            groups,
            List.of(
                VerbsConformanceTest.NO_LIMIT_OF_A_RULE,
                "-Dp2p.prove=" + Boolean.getBoolean("p2p.prove")))
        .tests(expected)
        .onClose(peers::close);
  }

  private List<String> options(int processors, int side) {
    return List.of(
        "-t",
        Integer.toString(SECONDS),
        "-c",
        Integer.toString(processors),
        "-m",
        "3072",
        "-s",
        Integer.toString(side),
        "-l",
        link.toString());
  }

  private static List<String> agent() {
    return List.of(
        "env",
        VerbsConformanceTest.JVM_OPTIONS,
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-Xmx64m",
        "-cp",
        System.getProperty("java.class.path"),
        GuestAgent.class.getName());
  }
}
