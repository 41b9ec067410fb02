package io.uccl.p2p.conformance;

import io.uccl.p2p.EngineConfig;
import java.util.Random;

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

  /** A source of sizes and places; what it gives is the same at every run with one seed. */
  final Random random() {
    return new Random(kit.seed());
  }

  final String seedText() {
    return "p2p.seed=" + kit.seed();
  }
}
