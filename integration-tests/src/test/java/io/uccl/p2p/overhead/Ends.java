package io.uccl.p2p.overhead;

import io.uccl.p2p.conformance.NeedsLibfabric;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A target and an initiator, each in a process of its own: two of the engine, or two in C. */
final class Ends implements AutoCloseable {

  /** The engine's default for cxi. */
  private static final int WINDOW = 32;

  private static final String LOOP =
      Path.of(System.getProperty("p2p.simcxi", ""), "loop").toString();

  private final End target;
  private final End initiator;
  private final boolean serves;

  private Ends(End target, End initiator, boolean serves) throws IOException {
    this.target = target;
    this.initiator = initiator;
    this.serves = serves;
    initiator.say(target.answer());
  }

  /** Two engines on a provider of libfabric. */
  static Ends ofEngine(String provider, long bytes) throws IOException {
    return ofEngine(
        Map.of(
            "UCCL_P2P_TRANSPORT",
            "cxi",
            "UCCL_P2P_MAX_INFLIGHT_OPS",
            Integer.toString(WINDOW),
            "UCCL_SOCKET_IFNAME",
            "lo",
            "UCCL_CXI_PROVIDER",
            provider,
            "UCCL_LIBFABRIC_SO",
            NeedsLibfabric.LIBRARY),
        List.of(),
        bytes);
  }

  /**
   * Two engines.
   *
   * @param environment of the engines, their transport in it
   * @param options for their JVMs
   * @param bytes of memory that each has
   */
  static Ends ofEngine(Map<String, String> environment, List<String> options, long bytes)
      throws IOException {
    return new Ends(
        new End(java(options, "target", bytes), environment),
        new End(java(options, "initiator", bytes), environment),
        false);
  }

  private static List<String> java(List<String> options, String role, long bytes) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("--enable-native-access=ALL-UNNAMED");
    command.addAll(options);
    command.addAll(
        List.of(
            "-cp",
            System.getProperty("java.class.path"),
            EngineEnds.class.getName(),
            role,
            Long.toString(bytes)));
    return command;
  }

  /** Two loops in C. */
  static Ends ofLoop(String provider, long bytes) throws IOException {
    String source = provider.equals("cxi") ? "-" : "127.0.0.1";
    String memory = Long.toString(bytes);
    return new Ends(
        new End(List.of(LOOP, "target", provider, source, memory), Map.of()),
        new End(
            List.of(LOOP, "initiator", provider, source, memory, Integer.toString(WINDOW)),
            Map.of()),
        true);
  }

  /** Runs calls of a shape one after the other. */
  Sample run(Shape shape, int calls, boolean spins) throws IOException {
    String waits = spins ? "spin" : "yield";
    if (serves) {
      target.ask("serve " + waits);
    }
    String[] answer =
        initiator
            .ask(
                String.join(
                    " ",
                    "run",
                    shape.write() ? "write" : "read",
                    Long.toString(shape.bytes()),
                    Integer.toString(shape.operations()),
                    Integer.toString(calls),
                    waits))
            .split(" ", -1);
    if (serves) {
      target.ask("rest");
    }
    return new Sample(Long.parseLong(answer[1]), Long.parseLong(answer[2]));
  }

  /**
   * Runs calls of a shape so that a few are always under way, all of them on the same memory. Only
   * for engines.
   *
   * @return the nanoseconds of all calls
   */
  long stream(Shape shape, int calls, int underWay) throws IOException {
    String answer =
        initiator.ask(
            String.join(
                " ",
                "stream",
                shape.write() ? "write" : "read",
                Long.toString(shape.bytes()),
                Integer.toString(shape.operations()),
                Integer.toString(calls),
                Integer.toString(underWay)));
    return Long.parseLong(answer.split(" ", -1)[1]);
  }

  @Override
  public void close() throws IOException {
    try (target;
        initiator) {
      // Each ends when its input does.
    }
  }

  /**
   * What a call does.
   *
   * @param bytes of each operation
   */
  record Shape(boolean write, long bytes, int operations) {}

  /**
   * What calls took, in nanoseconds.
   *
   * @param total all of them
   * @param median one of them
   */
  record Sample(long total, long median) {}

  /** A process that answers each line with a line. */
  private static final class End implements AutoCloseable {

    private final List<String> command;
    private final Process process;
    private final PrintStream input;
    private final BufferedReader output;

    End(List<String> command, Map<String, String> environment) throws IOException {
      this.command = command;
      ProcessBuilder builder =
          new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
      builder.environment().putAll(environment);
      process = builder.start();
      input = new PrintStream(process.getOutputStream(), true, StandardCharsets.US_ASCII);
      output = process.inputReader(StandardCharsets.US_ASCII);
    }

    void say(String line) {
      input.println(line);
    }

    String answer() throws IOException {
      String line = output.readLine();
      if (line == null) {
        throw new AssertionError("has ended: " + command);
      }
      return line;
    }

    String ask(String line) throws IOException {
      say(line);
      return answer();
    }

    @Override
    public void close() {
      input.close();
      try {
        if (process.waitFor(10, TimeUnit.SECONDS)) {
          return;
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      process.destroyForcibly();
      throw new AssertionError("did not end with its input: " + command);
    }
  }
}
