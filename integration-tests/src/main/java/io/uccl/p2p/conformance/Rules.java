package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.spi.TransportCapabilities.Expiry;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Optional;
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

  /** One more, beside the one that all rules have. */
  final PeerProcess anotherPeer() {
    return anotherPeer(Map.of());
  }

  /** The same; the environment holds the project's variables that it sees. */
  final PeerProcess anotherPeer(Map<String, String> environment) {
    return kit.anotherPeer(environment);
  }

  /** How often something is repeated that is repeated so often where the network is not slow. */
  final int times(int usual) {
    return Math.max(1, usual / kit.slowness());
  }

  /** For a rule about transfers under way; its sessions take the configuration of it. */
  final Hold hold() {
    return hold(Map.of());
  }

  /** The same with more variables. */
  final Hold hold(Map<String, String> more) {
    return new Hold(kit, more);
  }

  /** Aborts the rule where nothing makes transfers stand still. */
  final Standstill standstill() {
    Optional<Standstill> standstill = kit.standstill();
    Assumptions.assumeTrue(
        standstill.isPresent(), "nothing here makes transfers to the peer stand still");
    return standstill.orElseThrow();
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

  static void awaitFree(Transfer transfer) {
    until("the transfer's memory is free", () -> transfer.buffer() == BufferState.FREE);
  }

  /** Memory that was given back reads zeros. */
  static void awaitGivenBack(ByteBuffer view) {
    until("the memory was given back", () -> Pattern.mismatch(view, 0, 0) == -1);
  }

  static void until(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + Limits.PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - deadline).as("waited for: %s", what).isNegative();
      Thread.yield();
    }
  }
}
