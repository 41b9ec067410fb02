package io.uccl.p2p.cli;

/** How a raw copy waits for its socket. */
enum Variant {
  /** In the kernel. */
  BLOCKING("blocking"),
  /** By trying again and again. */
  SPINNING("spinning");

  private final String text;

  Variant(String text) {
    this.text = text;
  }

  @Override
  public String toString() {
    return text;
  }
}
