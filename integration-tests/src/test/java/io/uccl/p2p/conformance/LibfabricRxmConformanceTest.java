package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** The kit on the tcp;ofi_rxm provider of Debian 12's libfabric 1.17. */
@DisabledIfSystemProperty(
    named = "p2p.pass",
    matches = "25",
    disabledReason = "on JDK 25 the simulated provider is enough")
class LibfabricRxmConformanceTest extends CxiConformance {

  LibfabricRxmConformanceTest() {
    super("libfabric.so.1", "tcp;ofi_rxm", Refusal.BREAKS_CONNECTION, false);
  }
}
