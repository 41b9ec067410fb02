package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.spi.TransportCapabilities.Expiry;
import java.util.Map;
import java.util.Random;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.junit.jupiter.api.Assumptions;

/** What every group of rules needs. */
abstract class Rules {

  private final TransportConformance kit;

  Rules(TransportConformance kit) {
    this.kit = kit;
  }

  final TransportConformance kit() {
    return kit;
  }

  final PeerProcess peer() {
    return kit.peer();
  }

  final EngineConfig config() {
    return kit.config();
  }

  final Session session() throws InterruptedException {
    return kit.session();
  }

  final Session session(EngineConfig config) throws InterruptedException {
    return Session.open(peer(), config);
  }

  /** For a rule about transfers under way; its sessions take the configuration of it. */
  final Standstill standstill() {
    return standstill(Map.of());
  }

  /** The same with more variables. */
  final Standstill standstill(Map<String, String> more) {
    return new Standstill(kit, more);
  }

  /** Aborts the rule where the network serves a process that is stopped. */
  final void assumeThatStoppedPeersStandStill() {
    Assumptions.assumeTrue(
        kit.stopsWithPeer(), "the network interface serves a process that is stopped");
  }

  /** A source of sizes and places; what it gives is the same at every run with one seed. */
  final Random random() {
    return new Random(kit.seed());
  }

  final String seedText() {
    return "p2p.seed=" + kit.seed();
  }

  /** The memory may be used again: at once, or, where nothing can end an operation, some time. */
  final void freeAgain(Supplier<BufferState> buffer) {
    if (kit().capabilities().expiry() == Expiry.STAYS_IN_USE) {
      until("the network is done with the memory", () -> buffer.get() == BufferState.FREE);
    } else {
      assertThat(buffer.get()).isEqualTo(BufferState.FREE);
    }
  }

  static void until(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + Limits.PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - deadline).as("waited for: %s", what).isNegative();
      Thread.yield();
    }
  }
}
