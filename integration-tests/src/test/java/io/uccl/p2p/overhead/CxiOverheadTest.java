package io.uccl.p2p.overhead;

import io.uccl.p2p.conformance.NeedsLibfabric;
import io.uccl.p2p.overhead.Comparison.Row;
import io.uccl.p2p.overhead.Ends.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What the engine adds to the calls of libfabric: against a loop in C on the same provider, with
 * the same window, blocks and footprint, two processes each.
 */
@Tag("prove-only")
@Tag("overhead")
@ExtendWith(NeedsLibfabric.class)
class CxiOverheadTest {

  private static final List<Integer> NUM_IOVS = List.of(1, 2, 4, 8, 16, 32, 64, 128);
  private static final long BLOCK = 1_179_648;
  private static final int FEW = 8;

  private static final double LEAST_SHARE = 0.95;
  private static final double MOST_ADDED_TO_CALL = 2;
  private static final double MOST_ADDED_TO_OPERATION = 0.2;

  private static final long SMALL = 8;
  private static final int SMALL_CALLS = 200_000;
  private static final int WARM_UP_CALLS = 30_000;
  private static final double MOST_ADDED_TO_SMALL = 1;

  @ParameterizedTest
  @ValueSource(strings = {"tcp", "cxi"})
  void theEngineAddsLittleToALoopInC(String provider) throws IOException {
    long bytes = BLOCK * NUM_IOVS.get(NUM_IOVS.size() - 1);
    SoftAssertions bars = new SoftAssertions();
    try (Ends engine = Ends.ofEngine(provider, bytes);
        Ends loop = Ends.ofLoop(provider, bytes)) {
      Comparison comparison = new Comparison(engine, loop);
      Shape small = new Shape(true, SMALL, 1);
      engine.run(small, WARM_UP_CALLS, false);
      say(provider + (provider.equals("cxi") ? " (simulated)" : "") + ", load " + load());
      say(Row.header());
      for (int operations : NUM_IOVS) {
        Row row = comparison.row(new Shape(true, BLOCK, operations));
        say(row.toString());
        if (operations >= FEW) {
          bars.assertThat(row.share())
              .as("%s: share of the loop's rate, %d operations", provider, operations)
              .isGreaterThanOrEqualTo(LEAST_SHARE);
        } else {
          bars.assertThat(row.added())
              .as("%s: microseconds added to a call of %d operations", provider, operations)
              .isLessThanOrEqualTo(MOST_ADDED_TO_CALL + MOST_ADDED_TO_OPERATION * operations);
        }
      }
      Row row = comparison.row(small, SMALL_CALLS, 1);
      say(row.toString());
      say("load " + load());
      bars.assertThat(row.added())
          .as("%s: microseconds added to a write of 8 bytes", provider)
          .isLessThanOrEqualTo(MOST_ADDED_TO_SMALL);
    }
    bars.assertAll();
  }

  private static void say(String line) {
    System.out.println(line);
  }

  /** Who else wants the processors. */
  private static String load() throws IOException {
    return Files.readString(Path.of("/proc/loadavg")).split(" ", 2)[0];
  }
}
