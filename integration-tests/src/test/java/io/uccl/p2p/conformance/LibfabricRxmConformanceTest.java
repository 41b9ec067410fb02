package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;

/** The kit on the tcp;ofi_rxm provider of Debian 12's libfabric 1.17. */
@Tag("prove-only")
@Tag("providers")
@ExtendWith(NeedsLibfabric.class)
class LibfabricRxmConformanceTest extends CxiConformance {

  LibfabricRxmConformanceTest() {
    super("libfabric.so.1", "tcp;ofi_rxm", Refusal.BREAKS_CONNECTION, false);
  }
}
