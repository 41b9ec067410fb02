package io.uccl.p2p.transport.cxi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.uccl.p2p.transport.cxi.SimulatedCounts.Counter;
import io.uccl.p2p.transport.cxi.SimulatedCounts.Fault;
import io.uccl.p2p.transport.cxi.SimulatedCounts.Mode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs the C driver of the simulated cxi provider: one case for each rule of cxi that it keeps. */
class SimulatedCxiTest {

  private static final int SECONDS = 120;

  @TempDir Path folder;

  @BeforeEach
  void once() {
    assumeTrue(
        !"25".equals(System.getProperty("p2p.pass")) || System.getProperty("p2p.jdk25") == null,
        "no Java runs in the driver: once is enough, and the pass before this one did it");
  }

  @ParameterizedTest
  @CsvSource({"driver, provider", "driver_sanitized, sanitized"})
  void theSimulatedProviderKeepsTheRulesOfCxi(String driver, String provider) throws Exception {
    Run run = run(List.of(driver, provider), Map.of());
    assertThat(run.output().lines()).noneMatch(line -> line.startsWith("FAILED"));
    assertThat(run.output()).contains("simulated cxi: ", " cases, 0 failed");
    assertThat(run.exit()).isZero();
  }

  @Test
  void aRuleThatIsBrokenFailsTheDriver() throws Exception {
    Run run =
        run(
            List.of("driver", "provider", "writes of all lengths"),
            Map.of("FI_CXI_SIM_FAULT_CQ_ERROR", "at:4"));
    assertThat(run.output()).contains("FAILED: writes of all lengths", "1 cases, 1 failed");
    assertThat(run.exit()).isEqualTo(1);
  }

  @Test
  void aMisspelledVariableIsSaid() throws Exception {
    Run run =
        run(
            List.of("driver", "provider", "unknown domain"),
            Map.of("FI_CXI_SIM_FAULT_POST_EROR", "at:1", "FI_CXI_SIM_FAULT_GONE", "sometimes"));
    assertThat(run.output())
        .contains("there is no variable FI_CXI_SIM_FAULT_POST_EROR")
        .contains("FI_CXI_SIM_FAULT_GONE=sometimes is none of every:N, at:N, after:N");
  }

  @Test
  void aDriverThatRanNothingFails() throws Exception {
    Run run = run(List.of("driver", "provider", "no such rule"), Map.of());
    assertThat(run.output()).contains("0 cases");
    assertThat(run.exit()).isEqualTo(1);
  }

  @Test
  void javaReadsTheCountsAndSetsTheFaults() throws Exception {
    Path file = folder.resolve("counts");
    SimulatedCounts counts = new SimulatedCounts(file);
    Map<String, String> environment = Map.of("FI_CXI_SIM_COUNTS", file.toString());
    assertThat(counts.isInUse()).isFalse();
    Run run = run(List.of("driver", "provider", "live objects are counted"), environment);
    assertThat(run.output()).contains("1 cases, 0 failed");
    assertThat(counts.isInUse()).isTrue();
    assertThat(counts.get(Counter.WRITES)).isEqualTo(5);
    assertThat(counts.get(Counter.REMOTE_WRITES)).isEqualTo(5);
    assertThat(counts.get(Counter.ENDPOINTS)).isZero();

    counts.set(Fault.POST_ERROR, Mode.AT, 2);
    run = run(List.of("driver", "provider", "writes of all lengths"), environment);
    assertThat(run.output()).contains("1 cases, 1 failed");
    assertThat(counts.struck(Fault.POST_ERROR)).isEqualTo(1);
    assertThat(counts.get(Counter.WRITES)).isEqualTo(6);
  }

  @Test
  void javaKnowsTheCountsAndFaultsByTheirPositions() throws Exception {
    String header = Files.readString(Path.of("src/test/native/counts.h"));
    List<String> names =
        Pattern.compile("^ +X\\((\\w+)\\)", Pattern.MULTILINE)
            .matcher(header)
            .results()
            .map(match -> match.group(1))
            .toList();
    List<String> known = new ArrayList<>();
    Arrays.stream(Counter.values()).map(Enum::name).forEach(known::add);
    Arrays.stream(Fault.values()).map(Enum::name).forEach(known::add);
    assertThat(known).isEqualTo(names);
  }

  private record Run(int exit, String output) {}

  /** Runs a driver of the simulated provider's folder; the first two names are files in it. */
  private Run run(List<String> command, Map<String, String> environment)
      throws IOException, InterruptedException {
    Path simulated = Path.of(Needs.simulatedCxi());
    Path log = folder.resolve("output");
    ProcessBuilder builder = new ProcessBuilder(new ArrayList<>(command));
    builder.command().set(0, simulated.resolve(command.get(0)).toString());
    builder.command().set(1, simulated.resolve(command.get(1)).toString());
    // The counts of this JVM are not the driver's.
    builder.environment().remove("FI_CXI_SIM_COUNTS");
    builder.environment().putAll(environment);
    Process process = builder.redirectErrorStream(true).redirectOutput(log.toFile()).start();
    boolean ended = process.waitFor(SECONDS, TimeUnit.SECONDS);
    if (!ended) {
      process.destroyForcibly().waitFor();
    }
    String output = Files.readString(log, StandardCharsets.UTF_8);
    assertThat(ended).as("ends within %d s: %s", SECONDS, output).isTrue();
    return new Run(process.exitValue(), output);
  }
}
