package io.uccl.p2p.transport.cxi;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The JVM's checks of native methods find nothing in what the transport calls. */
class CxiJniChecksTest {

  @TempDir Path folder;

  @BeforeAll
  static void needsTheSimulatedProvider() {
    Needs.natives();
    Needs.simulatedCxi();
  }

  @Test
  void registrationTransfersFailureAndCloseAreCleanUnderTheJvmsChecks() throws Exception {
    Run run = run(List.of("-Xcheck:jni"));
    assertThat(run.output()).doesNotContain("WARNING", "FATAL");
    assertThat(run.output()).isEqualTo(CxiExercise.DONE + "\n");
    assertThat(run.exit()).isZero();
  }

  private record Run(int exit, String output) {}

  private Run run(List<String> options) throws IOException, InterruptedException {
    Path log = folder.resolve("output");
    ProcessBuilder builder =
        new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    builder.command().addAll(options);
    builder.command().addAll(List.of("-ea", "--enable-native-access=ALL-UNNAMED"));
    builder.command().addAll(List.of("-cp", System.getProperty("java.class.path")));
    builder.command().add(CxiExercise.class.getName());
    builder.command().add(Needs.libfabric());
    // The counts of this JVM are not the child's.
    builder.environment().remove("FI_CXI_SIM_COUNTS");
    Process process = builder.redirectErrorStream(true).redirectOutput(log.toFile()).start();
    boolean ended = process.waitFor(60, TimeUnit.SECONDS);
    if (!ended) {
      process.destroyForcibly().waitFor();
    }
    String output = Files.readString(log, StandardCharsets.UTF_8);
    assertThat(ended).as(output).isTrue();
    return new Run(process.exitValue(), output);
  }
}
