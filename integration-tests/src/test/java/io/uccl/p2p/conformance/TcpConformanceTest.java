package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities;

/** The tcp transport keeps every rule. */
class TcpConformanceTest extends TransportConformance {

  @Override
  protected String transport() {
    return "tcp";
  }

  @Override
  protected TransportCapabilities capabilities() {
    return new TransportCapabilities(
        TransportCapabilities.Refusal.PER_OPERATION,
        TransportCapabilities.TargetChecks.ALL,
        TransportCapabilities.Expiry.CLOSES_CHANNEL,
        true,
        Long.MAX_VALUE);
  }
}
