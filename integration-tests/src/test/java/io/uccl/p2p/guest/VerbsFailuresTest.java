package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.kit.KitProcess;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.extension.ExtendWith;

/** How connections of the rdma transport break, and what registrations need, in guests. */
@Tag("vm")
@ExtendWith(NeedsGuest.class)
class VerbsFailuresTest {

  @TestFactory
  Stream<DynamicTest> connectionsBreakWithTheirCause() throws IOException {
    KitProcess tests =
        KitProcess.start(
            Guest.command(),
            System.getProperty("java.class.path"),
            VerbsFailures.class.getName(),
            "!prove-only",
            List.of());
    return tests.tests(KitProcess.testsOf(VerbsFailures.class));
  }

  /** Root has no limit, so somebody else meets it, who may read the class path wherever it is. */
  @Test
  void aRegistrationBeyondTheLimitOfLockedMemorySaysTheLimit() throws Exception {
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    String script =
        "chmod a+rw /dev/infiniband/* && exec setpriv --reuid nobody --regid nogroup"
            + " --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search bash -c 'ulimit -l 8192 && exec \"$0\" \"$@\"' \"$@\"";
    List<String> command =
        List.of(
            "bash",
            "-c",
            script,
            "as-nobody",
            java,
            "-Xmx256m",
            "-cp",
            System.getProperty("java.class.path"),
            MemlockProbe.class.getName(),
            Integer.toString(16 << 20),
            Integer.toString(2 << 20));
    try (Guest guest = Guest.start(List.of(), command)) {
      Guest.Result result = guest.await();
      assertThat(result.output().lines())
          .as(result.errors())
          .satisfiesExactly(
              first ->
                  assertThat(first)
                      .contains("registers no memory of 16777216 bytes")
                      .contains("the limit of locked memory of this process is 8388608 bytes")
                      .contains("ENOMEM")
                      .contains("ulimit -l unlimited"),
              second -> assertThat(second).isEqualTo("2097152 bytes registered"));
    }
  }
}
