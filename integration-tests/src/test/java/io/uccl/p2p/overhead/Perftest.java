package io.uccl.p2p.overhead;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/**
 * The tools that everybody measures verbs with ({@code ib_write_bw} and its like): a server and a
 * client, both on the device {@code rxe0} of this machine.
 */
final class Perftest {

  private static final double MEBI = 1 << 20;
  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(60);

  /** Of a busy machine's clock it gets no idea at times, and then prints this. */
  private static final Pattern NO_NUMBER = Pattern.compile("-?(inf|nan)");

  private static final int ATTEMPTS = 5;

  /** Columns of what measures rates, and of what measures times. */
  private static final int AVERAGE_MEBIBYTES = 3;

  private static final int TYPICAL_MICROS = 4;

  private final List<String> command;

  /**
   * A tool.
   *
   * @param options beside those that say which device
   */
  Perftest(String tool, long bytes, int iterations, String... options) {
    // RoCE v2 by an IPv4 address; no warning of the clock frequency.
    command = new ArrayList<>(List.of(tool, "-d", "rxe0", "-x", "1", "-F"));
    command.addAll(List.of("-s", Long.toString(bytes), "-n", Integer.toString(iterations)));
    command.addAll(List.of(options));
  }

  /** Which one is installed. */
  static String version() throws IOException {
    return output(start(List.of("ib_write_bw", "--version"))).strip();
  }

  /** Bytes a second, of a tool that measures rates. */
  double rate() throws IOException {
    return run(AVERAGE_MEBIBYTES) * MEBI;
  }

  /** Microseconds that one typically takes, of a tool that measures times. */
  double typical() throws IOException {
    return run(TYPICAL_MICROS);
  }

  /** What the client's result has in a column. */
  private double run(int column) throws IOException {
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      double result = result(run(), column);
      if (Double.isFinite(result)) {
        return result;
      }
    }
    throw new AssertionError("does not succeed in measuring the processor's clock: " + command);
  }

  /** What the client prints. */
  private String run() throws IOException {
    Process server = start(command);
    try {
      List<String> client = new ArrayList<>(command);
      client.add("10.0.0.1");
      long start = System.nanoTime();
      while (true) {
        Process process = start(client);
        String printed = output(process);
        if (process.exitValue() == 0) {
          return printed;
        }
        // The server does not listen yet.
        if (!printed.contains("Couldn't connect") || System.nanoTime() - start > PATIENCE_NANOS) {
          throw new AssertionError(client + " printed:\n" + printed);
        }
      }
    } finally {
      // It ends after its client; without one it would wait for ever.
      server.destroy();
      end(server);
    }
  }

  /** The numbers stand in the line below the columns' names. */
  private static double result(String printed, int column) {
    List<String> lines = printed.lines().map(String::strip).toList();
    for (int i = 0; i + 1 < lines.size(); i++) {
      if (lines.get(i).startsWith("#bytes")) {
        String number = lines.get(i + 1).split("\\s+", -1)[column];
        return NO_NUMBER.matcher(number).matches() ? Double.NaN : Double.parseDouble(number);
      }
    }
    throw new AssertionError("no result in:\n" + printed);
  }

  private static Process start(List<String> command) throws IOException {
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  private static String output(Process process) throws IOException {
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    end(process);
    return printed;
  }

  private static void end(Process process) {
    try {
      if (process.waitFor(PATIENCE_NANOS, TimeUnit.NANOSECONDS)) {
        return;
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    process.destroyForcibly();
    throw new AssertionError("did not end: " + process);
  }
}
