package io.uccl.p2p.engine;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportProvider;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;

/**
 * The environment variables that the engine itself reads; a transport declares its own in {@link
 * TransportProvider#settings()}.
 */
final class EngineSettings {

  private static final int LEAST_INFLIGHT_OPS = 1;

  /** The most operations in flight; the same limit as the C++ engine's. */
  static final int MOST_INFLIGHT_OPS = 256;

  /** Empty when unset. Looked up among the transports that were found, by the selector. */
  static final Setting<String> TRANSPORT =
      Setting.text("UCCL_P2P_TRANSPORT", "the transport, by name or alias", "best available");

  static final Setting<Boolean> DISABLE_IPC =
      Setting.flag("UCCL_P2P_DISABLE_IPC", "1: same-host peers use the network transport too");

  /** Empty when unset: the default is the transport's, see {@link #maxInflightOperations}. */
  static final Setting<OptionalInt> MAX_INFLIGHT_OPS =
      new Setting<>(
          "UCCL_P2P_MAX_INFLIGHT_OPS",
          "one-sided operations in flight on one connection",
          "32 for cxi, else 256",
          "a number from " + LEAST_INFLIGHT_OPS + " to " + MOST_INFLIGHT_OPS,
          OptionalInt.empty(),
          text -> {
            int value = Integer.parseInt(text);
            if (value < LEAST_INFLIGHT_OPS || value > MOST_INFLIGHT_OPS) {
              throw new IllegalArgumentException("out of range");
            }
            return OptionalInt.of(value);
          });

  /**
   * Read by the command-line tool only, for its logging back end; an application configures its
   * own. Takes every spelling that the C++ engine takes, so that job scripts serve both: any case,
   * {@code WARN}, and the numbers from 0 (FATAL) to 3 (INFO). The value is always one of the four
   * names that the expectation shows.
   */
  static final Setting<String> LOG_LEVEL =
      new Setting<>(
          "UCCL_P2P_LOG_LEVEL",
          "the least severe messages that the command-line tool logs",
          "WARNING",
          "one of INFO, WARNING, ERROR, FATAL",
          "WARNING",
          EngineSettings::logLevel);

  /** Which interfaces: the syntax is that of {@link LocalAddress}. Empty when unset. */
  static final Setting<String> SOCKET_IFNAME =
      Setting.text(
          "UCCL_SOCKET_IFNAME",
          "the interface whose address goes into the metadata",
          "the first that is up and not loopback");

  static final Setting<Integer> CONTROL_PORT =
      Setting.integer(
          "UCCL_P2P_CONTROL_PORT",
          "port of the control channel's listener; 0: any free port",
          0,
          0,
          65535);

  /** All of them, in the order in which lists show them. */
  static final List<Setting<?>> ALL =
      List.of(TRANSPORT, DISABLE_IPC, MAX_INFLIGHT_OPS, LOG_LEVEL, SOCKET_IFNAME, CONTROL_PORT);

  private EngineSettings() {}

  /**
   * How many operations the engine hands to one channel of a transport at once: what the
   * environment says, else what the transport prefers.
   *
   * @throws ConfigurationException if either is out of range
   */
  static int maxInflightOperations(Map<String, String> environment, TransportProvider provider) {
    OptionalInt chosen = MAX_INFLIGHT_OPS.in(environment);
    if (chosen.isPresent()) {
      return chosen.getAsInt();
    }
    int preferred = provider.defaultInflightOperations();
    if (preferred < LEAST_INFLIGHT_OPS || preferred > MOST_INFLIGHT_OPS) {
      throw new ConfigurationException(
          provider.getClass().getName()
              + " declares "
              + preferred
              + " operations in flight: "
              + MAX_INFLIGHT_OPS.expected()
              + " is expected",
          FailureDetail.remedy("Set " + MAX_INFLIGHT_OPS.name() + ", or correct the transport")
              .withTransport(provider.name()));
    }
    return preferred;
  }

  private static String logLevel(String text) {
    return switch (text.toUpperCase(Locale.ROOT)) {
      case "INFO", "3" -> "INFO";
      case "WARN", "WARNING", "2" -> "WARNING";
      case "ERROR", "1" -> "ERROR";
      case "FATAL", "0" -> "FATAL";
      default -> throw new IllegalArgumentException("not a level");
    };
  }
}
