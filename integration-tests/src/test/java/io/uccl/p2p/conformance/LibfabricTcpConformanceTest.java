package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** The kit on libfabric 2.1's tcp provider. */
@DisabledIfSystemProperty(
    named = "p2p.pass",
    matches = "25",
    disabledReason = "on JDK 25 the simulated provider is enough")
@ExtendWith(NeedsLibfabric.class)
class LibfabricTcpConformanceTest extends CxiConformance {

  LibfabricTcpConformanceTest() {
    super(NeedsLibfabric.LIBRARY, "tcp", Refusal.BREAKS_CONNECTION, false);
  }
}
