package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The JVM's checks of native methods find nothing in what the rdma transport calls. */
@Tag("vm")
@ExtendWith(NeedsGuest.class)
class VerbsJniChecksTest {

  @Test
  void registrationTransfersFailureAndCloseAreCleanUnderTheJvmsChecks() throws Exception {
    List<String> command =
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xcheck:jni",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-cp",
            System.getProperty("java.class.path"),
            VerbsExercise.class.getName());
    try (Guest guest = Guest.start(List.of(), command)) {
      Guest.Result result = guest.await();
      assertThat(result.output()).as(result.errors()).isEqualTo(VerbsExercise.DONE + "\n");
      assertThat(result.errors()).doesNotContain("WARNING", "FATAL");
      assertThat(result.exit()).isZero();
    }
  }
}
