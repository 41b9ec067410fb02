package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.conformance.ClosingProbe.Thing;
import io.uccl.p2p.conformance.Scenes.State;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * In whatever state an engine is, closing it, its connection or its region takes less than a second
 * and leaves no thread, no file descriptor and no byte off-heap behind.
 */
@Tag("prove")
@Tag("closing")
@Timeout(value = 20, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ClosingTest {

  private static final int ROUNDS = Boolean.getBoolean("p2p.prove") ? 1000 : 50;

  private static Process probe;
  private static BufferedWriter rows;
  private static BufferedReader answers;

  /** A JVM of its own: the test runner opens sockets and takes off-heap memory too. */
  @BeforeAll
  static void startProbe() throws IOException {
    probe =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                ClosingProbe.class.getName())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    rows = probe.outputWriter(StandardCharsets.UTF_8);
    answers = probe.inputReader(StandardCharsets.UTF_8);
  }

  @AfterAll
  static void endProbe() throws IOException, InterruptedException {
    rows.close();
    try {
      assertThat(probe.waitFor(30, TimeUnit.SECONDS)).as("ended with its input").isTrue();
    } finally {
      probe.destroyForcibly();
    }
  }

  static List<Arguments> table() {
    List<Arguments> rows = new ArrayList<>();
    for (State state : State.values()) {
      for (Thing thing : Thing.values()) {
        if (thing != Thing.CONNECTION || state.hasConnection()) {
          rows.add(Arguments.of(thing, state));
        }
      }
    }
    return rows;
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("table")
  void closingIsQuickAndLeavesNothing(Thing thing, State state) throws IOException {
    rows.write(thing + " " + state + " " + ROUNDS + "\n");
    rows.flush();
    assertThat(answers.readLine()).isEqualTo("ok");
  }
}
