package io.uccl.p2p.spi;

/**
 * Whether a transport can work on this machine.
 *
 * @param available true if it can
 * @param detail what it would use, or why it cannot work; one sentence without its full stop
 * @param remedy what to do to make it work; empty if available
 */
public record Availability(boolean available, String detail, String remedy) {

  /** It can work, using what {@code detail} names. */
  public static Availability available(String detail) {
    return new Availability(true, detail, "");
  }

  /** It cannot work. */
  public static Availability unavailable(String reason, String remedy) {
    return new Availability(false, reason, remedy);
  }
}
