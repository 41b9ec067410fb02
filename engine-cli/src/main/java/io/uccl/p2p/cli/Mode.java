package io.uccl.p2p.cli;

/** Which way the bytes go, seen from the process that measures. */
enum Mode {
  /** Into the peer's memory. */
  WRITE("write"),
  /** Out of the peer's memory. */
  READ("read");

  private final String text;

  Mode(String text) {
    this.text = text;
  }

  @Override
  public String toString() {
    return text;
  }
}
