package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;

/** The kit on the simulated cxi provider. */
class SimulatedCxiConformanceTest extends CxiConformance {

  SimulatedCxiConformanceTest() {
    super(NeedsLibfabric.LIBRARY, "cxi", Refusal.PER_OPERATION, true);
  }
}
