package io.uccl.p2p.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * What a command has of the process that it runs in.
 *
 * @param in standard input
 * @param out results
 * @param err everything else
 * @param errIsTerminal true if a person watches {@code err}
 * @param environment variables by name
 */
record Console(
    InputStream in,
    PrintStream out,
    PrintStream err,
    boolean errIsTerminal,
    Map<String, String> environment) {

  /** The one of this process. */
  static Console ofProcess() {
    return new Console(System.in, System.out, System.err, isTerminal(), System.getenv());
  }

  /** A line on stderr. */
  void say(String line) {
    err.println("p2p: " + line);
  }

  private static boolean isTerminal() {
    // Not System.console(): it asks about stdin and stdout.
    try {
      String target = Files.readSymbolicLink(Path.of("/proc/self/fd/2")).toString();
      return target.startsWith("/dev/pts/") || target.startsWith("/dev/tty");
    } catch (IOException e) {
      return false;
    }
  }
}
