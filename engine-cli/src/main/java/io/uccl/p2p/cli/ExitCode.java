package io.uccl.p2p.cli;

/** The exit codes of the tool. Scripts depend on them. */
final class ExitCode {

  static final int OK = 0;
  static final int FAILED = 1;
  static final int USAGE = 2;
  static final int TRANSPORT_UNAVAILABLE = 3;
  static final int PEER_UNREACHABLE = 4;
  static final int INTERRUPTED = 130;

  private ExitCode() {}
}
