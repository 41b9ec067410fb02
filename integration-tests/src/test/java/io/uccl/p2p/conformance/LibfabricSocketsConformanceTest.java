package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** The kit on libfabric 2.1's sockets provider. */
@DisabledIfSystemProperty(
    named = "p2p.pass",
    matches = "25",
    disabledReason = "on JDK 25 the simulated provider is enough")
class LibfabricSocketsConformanceTest extends CxiConformance {

  LibfabricSocketsConformanceTest() {
    super(NeedsLibfabric.LIBRARY, "sockets", Refusal.PER_OPERATION, false);
  }
}
