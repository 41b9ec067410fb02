package io.uccl.p2p.allocation;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** From post to seen completion nothing is allocated, deadlines armed. */
@Tag("prove")
@Tag("allocation")
class AllocationTest {

  private static final boolean PROVE = Boolean.getBoolean("p2p.prove");
  private static final double MOST_BYTES_AN_OPERATION = 0.01;

  @ParameterizedTest(name = "{0} of {1} bytes")
  @CsvSource({
    "write, 64, 50000",
    "read, 64, 50000",
    "write, 1179648, 2000",
    "read, 1179648, 2000",
  })
  void postingAndWaitingAllocateNothing(String mode, int size, int operations) throws Exception {
    int total = PROVE ? 1_000_000 : operations;
    // In a short run a pool that grows once more would count: the least of three rounds is taken.
    int rounds = PROVE ? 1 : 3;
    // A JVM of its own: the threads of the test runner allocate too.
    Process probe =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                AllocationProbe.class.getName(),
                mode,
                Integer.toString(size),
                Integer.toString(total),
                Integer.toString(rounds))
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String printed =
        new String(probe.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assertThat(probe.waitFor(60, TimeUnit.SECONDS)).as("ended").isTrue();
    assertThat(printed).matches("-?\\d+");
    double perOperation = (double) Long.parseLong(printed) / total;
    System.out.printf(
        "%s of %d bytes: %.6f bytes allocated an operation, over %d operations%n",
        mode, size, perOperation, total);
    assertThat(perOperation).isLessThanOrEqualTo(MOST_BYTES_AN_OPERATION);
  }
}
