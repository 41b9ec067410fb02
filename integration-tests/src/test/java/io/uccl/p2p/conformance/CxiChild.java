package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * A JVM of its own on the simulated cxi provider, because libfabric and the provider read the
 * environment of the process, and count for the whole of it.
 */
final class CxiChild {

  /** What engines on the simulated provider are told. */
  static final Map<String, String> ENGINE =
      Map.of(
          "UCCL_SOCKET_IFNAME", "lo",
          "UCCL_P2P_TRANSPORT", "cxi",
          "UCCL_CXI_PROVIDER", "cxi",
          "UCCL_LIBFABRIC_SO", NeedsLibfabric.LIBRARY);

  private CxiChild() {}

  /**
   * Runs a class to its end and returns what it printed: lines of a name, an equals sign and a
   * value.
   *
   * @param counts the file of its counts, and of nobody else's
   * @param environment for the provider, beside that
   * @param options of the JVM
   */
  static Map<String, String> run(
      Class<?> main,
      Path counts,
      Map<String, String> environment,
      List<String> options,
      String... arguments)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("--enable-native-access=ALL-UNNAMED");
    command.addAll(options);
    command.addAll(List.of("-ea", "-Dp2p.simcxi=" + System.getProperty("p2p.simcxi"), "-cp"));
    command.add(System.getProperty("java.class.path"));
    command.add(main.getName());
    command.addAll(List.of(arguments));
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().putAll(ENGINE);
    builder.environment().put(SimulatedCxi.FILE, counts.toString());
    builder.environment().putAll(environment);
    Process child = builder.start();
    String printed = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(child.waitFor(60, TimeUnit.SECONDS)).as("ended").isTrue();
    assertThat(child.exitValue()).as("exit of %s, which printed %s", main, printed).isZero();
    Map<String, String> found = new HashMap<>();
    for (String line : printed.lines().toList()) {
      String[] pair = line.split("=", 2);
      found.put(pair[0], pair[1]);
    }
    return found;
  }
}
