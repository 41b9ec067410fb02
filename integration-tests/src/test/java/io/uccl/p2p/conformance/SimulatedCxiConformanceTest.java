package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import org.junit.jupiter.api.extension.ExtendWith;

/** The kit on the simulated cxi provider. */
@ExtendWith(NeedsLibfabric.class)
class SimulatedCxiConformanceTest extends CxiConformance {

  SimulatedCxiConformanceTest() {
    super(NeedsLibfabric.LIBRARY, "cxi", Refusal.PER_OPERATION, true);
  }
}
