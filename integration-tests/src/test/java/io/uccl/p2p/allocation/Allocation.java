package io.uccl.p2p.allocation;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Has a JVM of its own count what it allocates: the threads of the test runner allocate too. */
final class Allocation {

  private static final boolean PROVE = Boolean.getBoolean("p2p.prove");
  private static final double MOST_BYTES_AN_OPERATION = 0.01;

  private Allocation() {}

  /**
   * Posts operations and waits for them, and sees that this allocated nothing.
   *
   * @param environment of the engines, their transport in it
   * @param operations how many, where the full count is not asked for
   */
  static void isNothing(Map<String, String> environment, String mode, int size, int operations)
      throws Exception {
    isNothing(List.of(), environment, mode, size, operations);
  }

  /**
   * As above.
   *
   * @param starter what runs the command of the JVM, which is appended to it; empty: this machine
   */
  static void isNothing(
      List<String> starter, Map<String, String> environment, String mode, int size, int operations)
      throws Exception {
    int total = PROVE ? 1_000_000 : operations;
    // In a short run one class that is linked late counts for more than all operations may: so the
    // least of some rounds is taken. What each operation allocates is in all of them.
    int rounds = PROVE ? 1 : 10;
    List<String> command = new ArrayList<>(starter);
    command.addAll(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "--enable-native-access=ALL-UNNAMED",
            "-cp",
            System.getProperty("java.class.path"),
            AllocationProbe.class.getName(),
            mode,
            Integer.toString(size),
            Integer.toString(total),
            Integer.toString(rounds)));
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().put("UCCL_SOCKET_IFNAME", "lo");
    builder.environment().putAll(environment);
    Process probe = builder.start();
    String printed =
        new String(probe.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assertThat(probe.waitFor(60, TimeUnit.SECONDS)).as("ended").isTrue();
    assertThat(printed).matches("-?\\d+");
    double perOperation = (double) Long.parseLong(printed) / total;
    System.out.printf(
        "%s, %s of %d bytes: %.6f bytes allocated an operation, over %d operations%n",
        environment.get("UCCL_P2P_TRANSPORT"), mode, size, perOperation, total);
    assertThat(perOperation).isLessThanOrEqualTo(MOST_BYTES_AN_OPERATION);
  }
}
