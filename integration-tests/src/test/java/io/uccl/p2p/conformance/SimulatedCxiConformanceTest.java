package io.uccl.p2p.conformance;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.spi.TransportCapabilities;
import java.util.Map;

/** The kit on the cxi transport, over the simulated cxi provider. */
class SimulatedCxiConformanceTest extends TransportConformance {

  @Override
  protected String transport() {
    return "cxi";
  }

  @Override
  protected TransportCapabilities capabilities() {
    return new TransportCapabilities(
        TransportCapabilities.Refusal.PER_OPERATION,
        TransportCapabilities.TargetChecks.NIC_KEY,
        TransportCapabilities.Expiry.STAYS_IN_USE,
        true,
        256L << 20);
  }

  @Override
  protected Map<String, String> environment() {
    return Map.of(
        "UCCL_SOCKET_IFNAME",
        "lo",
        "UCCL_CXI_PROVIDER",
        "cxi",
        "UCCL_LIBFABRIC_SO",
        System.getProperty("p2p.simcxi") + "/libfabric/lib/libfabric.so.1");
  }

  @Override
  protected boolean largeOperations() {
    return false;
  }

  /** The key is the second of the transport's own words. */
  @Override
  protected FifoDescriptor withWrongKey(FifoDescriptor right) {
    return FifoDescriptor.of(
        right.address(),
        right.length(),
        right.rkey(),
        right.rid(),
        right.idx(),
        right.own0(),
        right.own1() ^ 1,
        right.own2());
  }
}
