package io.uccl.p2p.spi.nativelib;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A process that a test starts, waits for and reads the output of. */
record Child(int exit, String output) {

  /** Runs a command for at most a minute; output and errors go to one text. */
  static Child run(List<String> command) throws IOException, InterruptedException {
    return run(new ProcessBuilder(command));
  }

  static Child run(ProcessBuilder builder) throws IOException, InterruptedException {
    Path log = Files.createTempFile("p2p-child-", ".log");
    try {
      Process process =
          builder
              .redirectErrorStream(true)
              .redirectInput(Path.of("/dev/null").toFile())
              .redirectOutput(log.toFile())
              .start();
      boolean ended = process.waitFor(60, TimeUnit.SECONDS);
      if (!ended) {
        process.destroyForcibly().waitFor();
      }
      String output = Files.readString(log, StandardCharsets.UTF_8);
      if (!ended) {
        throw new AssertionError(builder.command() + " did not end within 60 s: " + output);
      }
      return new Child(process.exitValue(), output);
    } finally {
      Files.delete(log);
    }
  }

  /** A command for this JVM with this class path, {@link ChildMain} and its arguments. */
  static List<String> java(List<String> options, String... arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.add("-Xmx64m");
    command.add("-XX:+UseSerialGC");
    if (Runtime.version().feature() >= 22) {
      command.add("--enable-native-access=ALL-UNNAMED");
    }
    command.addAll(options);
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(ChildMain.class.getName());
    command.addAll(List.of(arguments));
    return command;
  }

  /** A command that a shell script starts with {@code exec "$@"}. */
  static List<String> script(String script, List<String> command) {
    List<String> all = new ArrayList<>(List.of("/bin/sh", "-c", script, "sh"));
    all.addAll(command);
    return all;
  }
}
