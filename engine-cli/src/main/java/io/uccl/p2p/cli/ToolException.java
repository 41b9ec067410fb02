package io.uccl.p2p.cli;

/** Ends the command with one line on stderr and an exit code. */
final class ToolException extends RuntimeException {

  private static final long serialVersionUID = 1L;

  private final int exitCode;

  ToolException(int exitCode, String message) {
    super(message);
    this.exitCode = exitCode;
  }

  ToolException(int exitCode, String message, Throwable cause) {
    super(message, cause);
    this.exitCode = exitCode;
  }

  /** What was typed, or the environment, cannot be used. */
  static ToolException usage(String message) {
    return new ToolException(ExitCode.USAGE, message);
  }

  /** One of {@link ExitCode}. */
  int exitCode() {
    return exitCode;
  }
}
