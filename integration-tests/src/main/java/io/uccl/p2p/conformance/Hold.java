package io.uccl.p2p.conformance;

import io.uccl.p2p.EngineConfig;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A time in which transfers to the peer stay under way, for rules about what is under way. They
 * stand still; or, where nothing makes them, what ends is kept from the engine.
 */
final class Hold implements AutoCloseable {

  private final Standstill standstill;
  private final @Nullable Watch watch;
  private final EngineConfig config;

  /**
   * Prepares one; it begins later.
   *
   * @param more variables of the engine
   */
  Hold(TransportConformance kit, Map<String, String> more) {
    Optional<Standstill> real = kit.standstill();
    if (real.isPresent()) {
      standstill = real.get();
      watch = null;
      config = kit.config(more);
    } else {
      watch = Watch.open();
      standstill = withheld(watch);
      config = kit.config(watch, more);
    }
  }

  private static Standstill withheld(Watch watch) {
    return new Standstill() {
      @Override
      public void begin() {
        watch.withhold();
      }

      @Override
      public void end() {
        watch.pass();
        watch.report();
      }
    };
  }

  /** For the engines of the session. */
  EngineConfig config() {
    return config;
  }

  void begin() {
    standstill.begin();
  }

  /** What was under way goes on. */
  void end() {
    standstill.end();
  }

  @Override
  public void close() {
    if (watch != null) {
      watch.close();
    }
  }
}
