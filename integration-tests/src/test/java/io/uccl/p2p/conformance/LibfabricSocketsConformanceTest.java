package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;

/** The kit on libfabric 2.1's sockets provider. */
@Tag("prove-only")
@Tag("providers")
@ExtendWith(NeedsLibfabric.class)
class LibfabricSocketsConformanceTest extends CxiConformance {

  LibfabricSocketsConformanceTest() {
    super(NeedsLibfabric.LIBRARY, "sockets", Refusal.PER_OPERATION, false);
  }
}
