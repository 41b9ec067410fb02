package io.uccl.p2p.overhead;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.overhead.Ends.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * What the engine adds to verbs: against the tools that everybody measures verbs with, on the
 * device {@code rxe0} of the machine that it runs on. {@link RdmaOverheadTest} runs it in a guest.
 *
 * <p>Both keep 128 operations under way, all of them on the same memory, which is what the tools do
 * by themselves. The engine and the tool are measured in turn, so that what else the machine does
 * hits both alike.
 */
class RdmaOverhead {

  private static final int PAIRS = 9;

  private static final long LARGE = 1_179_648;
  private static final int LARGE_OPERATIONS = 128;
  private static final Stream LARGE_STREAM = new Stream(8, 16);
  private static final double LEAST_SHARE_OF_LARGE = 0.95;

  private static final long SMALL = 4096;
  private static final int SMALL_OPERATIONS = 16_000;
  private static final Stream SMALL_STREAM = new Stream(32, 4);
  private static final double LEAST_SHARE_OF_SMALL = 0.80;

  private static final long TINY = 64;
  private static final int TINY_OPERATIONS = 5000;
  private static final int WARM_UP_CALLS = 20_000;
  private static final double MOST_MICROS_ADDED = 10;

  @SuppressWarnings("NullAway.Init")
  private static Ends engine;

  /**
   * How the engine's operations are posted.
   *
   * @param operations of a call
   * @param underWay calls at the same time
   */
  private record Stream(int operations, int underWay) {}

  /** One way to run a tool, and what came of it in each pair. */
  private record Opponent(String name, Perftest tool, List<Double> results) {

    Opponent(String name, long bytes, int iterations, String... options) {
      this(
          options.length == 0 ? name : name + " " + String.join(" ", options),
          new Perftest(name, bytes, iterations, options),
          new ArrayList<>());
    }

    double middle() {
      return Comparison.median(results, result -> result);
    }
  }

  @BeforeAll
  static void start() throws IOException {
    Map<String, String> environment =
        Map.of("UCCL_P2P_TRANSPORT", "rdma", "UCCL_SOCKET_IFNAME", "lo");
    // The other compiler takes half a minute of a processor under emulation, for little.
    List<String> options = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC");
    engine = Ends.ofEngine(environment, options, LARGE);
    engine.run(new Shape(true, TINY, 1), WARM_UP_CALLS, false);
    System.out.println("perftest, " + Perftest.version());
  }

  @AfterAll
  static void end() throws IOException {
    engine.close();
  }

  @Test
  void writesOfLargeBlocks() throws IOException {
    Shape shape = new Shape(true, LARGE, LARGE_STREAM.operations());
    List<Opponent> opponents = List.of(new Opponent("ib_write_bw", LARGE, LARGE_OPERATIONS));
    assertThat(share(shape, LARGE_OPERATIONS, LARGE_STREAM, opponents))
        .isGreaterThanOrEqualTo(LEAST_SHARE_OF_LARGE);
  }

  @Test
  void readsOfLargeBlocks() throws IOException {
    Shape shape = new Shape(false, LARGE, LARGE_STREAM.operations());
    // Of these tools only the reader can wait for events.
    List<Opponent> opponents =
        List.of(
            new Opponent("ib_read_bw", LARGE, LARGE_OPERATIONS),
            new Opponent("ib_read_bw", LARGE, LARGE_OPERATIONS, "-e"));
    assertThat(share(shape, LARGE_OPERATIONS, LARGE_STREAM, opponents))
        .isGreaterThanOrEqualTo(LEAST_SHARE_OF_LARGE);
  }

  @Test
  void writesOfSmallMessages() throws IOException {
    Shape shape = new Shape(true, SMALL, SMALL_STREAM.operations());
    List<Opponent> opponents = List.of(new Opponent("ib_write_bw", SMALL, SMALL_OPERATIONS));
    assertThat(share(shape, SMALL_OPERATIONS, SMALL_STREAM, opponents))
        .isGreaterThanOrEqualTo(LEAST_SHARE_OF_SMALL);
  }

  @Test
  void timeOfATinyWrite() throws IOException {
    Shape shape = new Shape(true, TINY, 1);
    Opponent opponent = new Opponent("ib_write_lat", TINY, TINY_OPERATIONS);
    List<Double> own = new ArrayList<>();
    for (int pair = 0; pair < PAIRS; pair++) {
      if (pair % 2 == 0) {
        opponent.results().add(opponent.tool().typical());
      }
      own.add(engine.run(shape, TINY_OPERATIONS, false).median() / 1e3);
      if (pair % 2 != 0) {
        opponent.results().add(opponent.tool().typical());
      }
    }
    List<Double> added = new ArrayList<>();
    for (int pair = 0; pair < PAIRS; pair++) {
      added.add(own.get(pair) - opponent.results().get(pair));
    }
    double middle = Comparison.median(added, micros -> micros);
    say(
        "write of %d bytes: engine %.2f us, %s %.2f us, added %.2f us (%s)",
        TINY,
        Comparison.median(own, micros -> micros),
        opponent.name(),
        opponent.middle(),
        middle,
        span(added));
    assertThat(middle).as("microseconds added").isLessThanOrEqualTo(MOST_MICROS_ADDED);
  }

  /** The median share of the rate of the better opponent that the engine reaches. */
  private static double share(Shape shape, int operations, Stream stream, List<Opponent> opponents)
      throws IOException {
    // Not measured: code is compiled.
    rate(shape, operations, stream);
    List<Double> own = new ArrayList<>();
    for (int pair = 0; pair < PAIRS; pair++) {
      if (pair % 2 == 0) {
        run(opponents);
      }
      own.add(rate(shape, operations, stream));
      if (pair % 2 != 0) {
        run(opponents);
      }
    }
    Opponent best =
        opponents.stream().max(Comparator.comparingDouble(Opponent::middle)).orElseThrow();
    List<Double> shares = new ArrayList<>();
    for (int pair = 0; pair < PAIRS; pair++) {
      shares.add(own.get(pair) / best.results().get(pair));
    }
    double middle = Comparison.median(shares, share -> share);
    for (Opponent opponent : opponents) {
      say(
          "%s of %d bytes: %s",
          name(shape), shape.bytes(), text(opponent.name(), opponent.middle(), shape));
    }
    say(
        "%s of %d bytes: %s, share of %s %.3f (%s)",
        name(shape),
        shape.bytes(),
        text("engine", Comparison.median(own, rate -> rate), shape),
        best.name(),
        middle,
        span(shares));
    return middle;
  }

  private static void run(List<Opponent> opponents) throws IOException {
    for (Opponent opponent : opponents) {
      opponent.results().add(opponent.tool().rate());
    }
  }

  /** Bytes a second of the engine. */
  private static double rate(Shape shape, int operations, Stream stream) throws IOException {
    int calls = operations / shape.operations();
    long nanos = engine.stream(shape, calls, stream.underWay());
    return (double) shape.bytes() * shape.operations() * calls / nanos * 1e9;
  }

  private static String name(Shape shape) {
    return shape.write() ? "write" : "read";
  }

  private static String text(String who, double rate, Shape shape) {
    return String.format("%s %.2f MB/s, %.0f a second", who, rate / 1e6, rate / shape.bytes());
  }

  private static String span(List<Double> values) {
    return String.format(
        "%.3f to %.3f in %d pairs",
        values.stream().min(Comparator.naturalOrder()).orElseThrow(),
        values.stream().max(Comparator.naturalOrder()).orElseThrow(),
        values.size());
  }

  /** With who else wants the processors. */
  private static void say(String format, Object... arguments) throws IOException {
    String load = Files.readString(Path.of("/proc/loadavg")).split(" ", 2)[0];
    System.out.println(String.format(format, arguments) + "; load " + load);
  }
}
