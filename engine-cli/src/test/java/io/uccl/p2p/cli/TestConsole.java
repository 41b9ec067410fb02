package io.uccl.p2p.cli;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Runs the tool in this process and keeps what it prints. */
final class TestConsole {

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();
  private final Map<String, String> environment = new HashMap<>(Map.of("UCCL_SOCKET_IFNAME", "lo"));

  TestConsole with(String name, String value) {
    environment.put(name, value);
    return this;
  }

  int run(String... arguments) {
    Console console =
        new Console(
            InputStream.nullInputStream(),
            new PrintStream(out, true, StandardCharsets.UTF_8),
            new PrintStream(err, true, StandardCharsets.UTF_8),
            false,
            Map.copyOf(environment));
    return Main.run(console, arguments);
  }

  String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  List<String> errLines() {
    return err.toString(StandardCharsets.UTF_8).lines().toList();
  }
}
