package io.uccl.p2p.cli;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.TransportUnavailableException;
import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;

/** Turns what a command threw into an exit code and one line of text. */
final class Failures {

  private Failures() {}

  static int exitCode(Throwable failure) {
    if (failure instanceof ToolException tool) {
      return tool.exitCode();
    }
    if (failure instanceof ConfigurationException) {
      return ExitCode.USAGE;
    }
    if (failure instanceof TransportUnavailableException) {
      return ExitCode.TRANSPORT_UNAVAILABLE;
    }
    if (failure instanceof PeerUnreachableException || failure instanceof HandshakeException) {
      return ExitCode.PEER_UNREACHABLE;
    }
    if (failure instanceof InterruptedException || failure instanceof ClosedByInterruptException) {
      return ExitCode.INTERRUPTED;
    }
    return ExitCode.FAILED;
  }

  /** One line, whatever the message holds. */
  static String line(Throwable failure) {
    return text(failure).strip().replaceAll("\\s*\\R\\s*", "; ");
  }

  private static String text(Throwable failure) {
    String message = failure.getMessage();
    boolean speaksForItself = failure instanceof ToolException || failure instanceof P2pException;
    if (speaksForItself && message != null) {
      return message;
    }
    if (failure instanceof InterruptedException || failure instanceof ClosedByInterruptException) {
      return "interrupted";
    }
    String named = message == null ? failure.getClass().getSimpleName() : message;
    if (failure instanceof IOException) {
      return "input or output failed: " + named;
    }
    return "unexpected "
        + failure.getClass().getName()
        + ": "
        + named
        + "; --debug shows where it comes from";
  }
}
