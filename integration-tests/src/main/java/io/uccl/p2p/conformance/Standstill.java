package io.uccl.p2p.conformance;

import io.uccl.p2p.EngineConfig;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A time in which transfers to the peer do not end, for rules about what is under way. The peer's
 * process is stopped; or, where its network interface would serve it all the same, what ends is
 * kept from the engine.
 */
final class Standstill implements AutoCloseable {

  private final TransportConformance kit;
  private final @Nullable Watch watch;
  private final EngineConfig config;

  /**
   * Prepares one; it begins later.
   *
   * @param more variables of the engine
   */
  Standstill(TransportConformance kit, Map<String, String> more) {
    this.kit = kit;
    if (kit.stopsWithPeer()) {
      watch = null;
      config = kit.config(more);
    } else {
      watch = Watch.open();
      config = kit.config(watch, more);
    }
  }

  /** For the engines of the session. */
  EngineConfig config() {
    return config;
  }

  void begin() {
    if (watch == null) {
      kit.peer().suspend();
    } else {
      watch.withhold();
    }
  }

  /** What stood still goes on. */
  void end() {
    if (watch == null) {
      kit.peer().resume();
    } else {
      watch.pass();
      watch.report();
    }
  }

  @Override
  public void close() {
    if (watch != null) {
      watch.close();
    }
  }
}
