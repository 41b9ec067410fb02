package io.uccl.p2p.spi;

/**
 * Whether a transport can work on this machine.
 *
 * @param available true if it can
 * @param detail what it would use, or why it cannot work; one sentence without its full stop
 * @param remedy what to do to make it work; if it works, what to do about something that will be
 *     regretted later, or empty
 */
public record Availability(boolean available, String detail, String remedy) {

  /** It can work, using what {@code detail} names. */
  public static Availability available(String detail) {
    return new Availability(true, detail, "");
  }

  /**
   * It can work, but {@code detail} names something that will be regretted later. An engine that
   * takes the transport logs both as a warning.
   */
  public static Availability available(String detail, String remedy) {
    return new Availability(true, detail, remedy);
  }

  /** It cannot work. */
  public static Availability unavailable(String reason, String remedy) {
    return new Availability(false, reason, remedy);
  }
}
