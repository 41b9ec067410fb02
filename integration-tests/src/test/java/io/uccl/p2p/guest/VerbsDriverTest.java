package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Runs the C driver of the rdma shim's core on a device, plain and under the sanitizers. */
@Tag("vm")
@ExtendWith(NeedsGuest.class)
class VerbsDriverTest {

  private static final Path BUILD =
      Path.of("../transport-rdma-verbs/target/native").toAbsolutePath().normalize();

  @Test
  void theCoreHolds() throws Exception {
    Path plain = BUILD.resolve("p2p_verbs_driver");
    Path sanitized = BUILD.resolve("p2p_verbs_driver_sanitized");
    boolean built = Files.isExecutable(plain) && Files.isExecutable(sanitized);
    boolean required = System.getProperty("p2p.require", "").contains("natives");
    assertThat(built || !required).as("the drivers in %s were built", BUILD).isTrue();
    Assumptions.assumeTrue(built, "no driver in " + BUILD);
    String arguments = " libibverbs.so.1 rxe0 1";
    String both = plain + arguments + " && " + sanitized + arguments;
    try (Guest guest = Guest.start(List.of(), List.of("bash", "-c", both))) {
      Guest.Result result = guest.await();
      assertThat(result.output())
          .as(result.errors())
          .matches("(rxe0: [1-9][0-9]* checks, 0 failed\n){2}");
      assertThat(result.exit()).isZero();
    }
  }
}
