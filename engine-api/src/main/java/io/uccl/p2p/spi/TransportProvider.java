package io.uccl.p2p.spi;

import io.uccl.p2p.TransportUnavailableException;
import java.util.List;
import java.util.Map;

/**
 * Declares a transport and opens it. Implementations have a public constructor without parameters
 * and are named in {@code META-INF/services/io.uccl.p2p.spi.TransportProvider}.
 *
 * <p>Apart from {@link #probe} and {@link #open} the methods return constants and load nothing.
 */
public interface TransportProvider {

  /** The name for {@code UCCL_P2P_TRANSPORT}: lower-case letters, digits and hyphens. */
  String name();

  /** Other names for the same. */
  default List<String> aliases() {
    return List.of();
  }

  /**
   * Rank among the available transports when none is named: the highest wins. Only positive numbers
   * take part, and only the project's own transports have them; others must be named.
   */
  default int priority() {
    return 0;
  }

  /**
   * First four bytes of the handshake (little-endian). Each transport has its own, so that a
   * process which is pointed at one of another transport is told so.
   */
  int handshakeMagic();

  /**
   * True if the C++ UCCL P2P engine has the same handshake, magic and parameters included, so that
   * its processes can be peers. Such a process sends no trailer behind its parameters, and anything
   * but a handshake or a notification would make it deaf for ever: only with a transport that says
   * so does the engine take a handshake without a trailer, and it sends that peer nothing else. A
   * transport that has a handshake of its own must never be pointed at a C++ process.
   */
  default boolean sharesHandshake() {
    return false;
  }

  /** Every environment variable that it reads. Others of the project's prefixes are errors. */
  default List<Setting<?>> settings() {
    return List.of();
  }

  /** The default of {@code UCCL_P2P_MAX_INFLIGHT_OPS} on this transport, 1 to 256. */
  default int defaultInflightOperations() {
    return 256;
  }

  /**
   * Finds out whether it can work here, within 50 ms when it cannot, and without side effects.
   * Never throws.
   *
   * @param environment the variables, already checked against {@link #settings()}
   */
  Availability probe(Map<String, String> environment);

  /**
   * Opens it. The caller closes it.
   *
   * @throws TransportUnavailableException if it cannot work, naming the mend
   */
  Transport open(TransportContext context);
}
