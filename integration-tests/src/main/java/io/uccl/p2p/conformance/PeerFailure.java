package io.uccl.p2p.conformance;

/** A command to the peer process ended with an exception there. */
final class PeerFailure extends RuntimeException {

  private static final long serialVersionUID = 1L;

  private final String type;

  PeerFailure(String command, String type, String message) {
    super("in the peer process, '" + command + "' threw " + type + ": " + message);
    this.type = type;
  }

  /** Name of the exception's class. */
  String type() {
    return type;
  }
}
