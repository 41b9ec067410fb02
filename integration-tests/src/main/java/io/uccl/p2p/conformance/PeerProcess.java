package io.uccl.p2p.conformance;

import io.uccl.p2p.EngineConfig;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A JVM of its own that runs {@link PeerMain}: the other side of the rules. It has the class path
 * of this JVM. One thread at a time gives it commands.
 */
final class PeerProcess implements AutoCloseable {

  /** How long an answer may take; the longest command touches four gibibytes for the first time. */
  private static final Duration PATIENCE = Duration.ofMinutes(3);

  private static final String END = "the end of the peer's output";

  private final Process process;
  private final Writer commands;
  private final BlockingQueue<String> answers = new LinkedBlockingQueue<>();

  private PeerProcess(Process process) {
    this.process = process;
    commands =
        new BufferedWriter(
            new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
    Thread reader = new Thread(this::readAnswers, "answers of a peer");
    reader.setDaemon(true);
    reader.start();
  }

  /** Starts one with this process's environment, but without the project's variables. */
  static PeerProcess start() {
    return start(Map.of());
  }

  /**
   * Starts one.
   *
   * @param environment the project's variables that it sees
   */
  static PeerProcess start(Map<String, String> environment) {
    return start(environment, ProcessBuilder::start);
  }

  /** How a process is started, and where. */
  interface Starter {
    /** See {@link TransportConformance#startPeer(ProcessBuilder)}. */
    Process start(ProcessBuilder peer) throws IOException;
  }

  /**
   * Starts one in a way of its own.
   *
   * @param environment the project's variables that it sees
   */
  static PeerProcess start(Map<String, String> environment, Starter starter) {
    ProcessBuilder builder =
        new ProcessBuilder(command()).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().keySet().removeIf(name -> name.startsWith("UCCL_"));
    builder.environment().putAll(environment);
    try {
      return new PeerProcess(starter.start(builder));
    } catch (IOException e) {
      throw new UncheckedIOException("the peer process could not be started", e);
    }
  }

  private static List<String> command() {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-ea", "-Xmx512m", "-XX:MaxDirectMemorySize=1g", "-XX:+UseSerialGC"));
    String modules = System.getProperty("jdk.module.path");
    Stream<String> own = ManagementFactory.getRuntimeMXBean().getInputArguments().stream();
    own.filter(option -> option.startsWith("--enable-native-access")).forEach(command::add);
    if (modules == null) {
      command.addAll(List.of("-cp", System.getProperty("java.class.path")));
      command.add(PeerMain.class.getName());
    } else {
      command.addAll(List.of("-p", modules, "--add-modules", "ALL-MODULE-PATH"));
      command.add("-m");
      command.add(PeerMain.class.getModule().getName() + "/" + PeerMain.class.getName());
    }
    return command;
  }

  private void readAnswers() {
    try (BufferedReader reader =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = reader.readLine(); line != null; line = reader.readLine()) {
        answers.add(line);
      }
    } catch (IOException e) {
      answers.add("fail " + e.getClass().getName() + " " + e.getMessage());
    }
    answers.add(END);
  }

  /**
   * Gives a command and returns the result.
   *
   * @throws PeerFailure if it ended with an exception in the peer
   */
  synchronized String command(Object... words) {
    StringBuilder line = new StringBuilder();
    for (Object word : words) {
      line.append(line.length() == 0 ? "" : " ").append(word);
    }
    String shown = line.substring(0, Math.min(line.length(), 300));
    try {
      commands.append(line).append('\n').flush();
      String answer = answers.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      if (answer == null) {
        throw new AssertionError("the peer did not answer '" + shown + "' within " + PATIENCE);
      }
      if (answer.equals(END)) {
        throw new AssertionError("the peer process ended at '" + shown + "'");
      }
      String[] parts = answer.split(" ", 3);
      if (parts[0].equals("fail")) {
        throw new PeerFailure(shown, parts[1], parts.length == 3 ? parts[2] : "");
      }
      return answer.length() == 2 ? "" : answer.substring(3);
    } catch (IOException e) {
      throw new UncheckedIOException("the peer process ended before '" + shown + "'", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted at '" + shown + "'", e);
    }
  }

  /** Opens an engine there. */
  RemoteEngine open(EngineConfig config) {
    List<Object> words =
        new ArrayList<>(List.of("open", config.transport().orElse(PeerMain.EMPTY)));
    words.add(config.stallDeadline().toMillis());
    words.add(config.maxOperationBytes());
    config.environment().forEach((name, value) -> words.add(name + "=" + value));
    return new RemoteEngine(this, command(words.toArray()));
  }

  /** Opens an engine there as the peer process's own environment says. */
  RemoteEngine openFromEnvironment() {
    return new RemoteEngine(this, command("environment"));
  }

  /** Stops it for a time, if it runs on this machine. */
  Standstill standstill() {
    return new Standstill() {
      @Override
      public void begin() {
        suspend();
      }

      @Override
      public void end() {
        resume();
      }
    };
  }

  /** Stops it as Ctrl-Z does, and returns when it has stopped. */
  void suspend() {
    signal("-STOP");
    awaitState(true);
  }

  /** Lets it go on. */
  void resume() {
    signal("-CONT");
    awaitState(false);
  }

  /** Ends it at once, as a crash would, and returns when it has ended. */
  void kill() {
    process.destroyForcibly();
    awaitEnd();
  }

  private void signal(String signal) {
    try {
      Process kill = new ProcessBuilder("kill", signal, Long.toString(process.pid())).start();
      if (!kill.waitFor(10, TimeUnit.SECONDS) || kill.exitValue() != 0) {
        throw new AssertionError("kill " + signal + " failed");
      }
    } catch (IOException e) {
      throw new UncheckedIOException("kill could not be started", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted at kill " + signal, e);
    }
  }

  private void awaitState(boolean stopped) {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (isStopped() != stopped) {
      if (System.nanoTime() - deadline > 0) {
        throw new AssertionError("the peer process did not " + (stopped ? "stop" : "go on"));
      }
      Thread.yield();
    }
  }

  private boolean isStopped() {
    try {
      String status = Files.readString(Path.of("/proc/" + process.pid() + "/stat"));
      return status.charAt(status.lastIndexOf(')') + 2) == 'T';
    } catch (IOException e) {
      throw new UncheckedIOException("the state of the peer process cannot be read", e);
    }
  }

  private void awaitEnd() {
    try {
      if (!process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
        throw new AssertionError("the peer process did not end");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted while the peer process ended", e);
    }
  }

  /** Ends it by ending its input; what does not end by that is killed. */
  @Override
  public void close() {
    try {
      commands.close();
    } catch (IOException e) {
      // It has ended already.
    }
    boolean interrupted = Thread.interrupted();
    try {
      if (!process.waitFor(10, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      interrupted = true;
      process.destroyForcibly();
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
