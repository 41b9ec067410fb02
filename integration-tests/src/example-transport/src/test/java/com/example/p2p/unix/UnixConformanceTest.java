package com.example.p2p.unix;

import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.conformance.TransportConformance;
import io.uccl.p2p.spi.TransportCapabilities;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.io.TempDir;

/** The unix transport keeps every rule of the conformance kit. */
class UnixConformanceTest extends TransportConformance {

  /** Takes what the processes leave that the rules kill. */
  @TempDir static Path sockets;

  @Override
  protected String transport() {
    return "unix";
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

  @Override
  protected Map<String, String> environment() {
    return Map.of("UCCL_SOCKET_IFNAME", "lo", "UNIX_P2P_DIR", sockets.toString());
  }

  /** Some rules take two transports: this one and tcp. */
  @Override
  protected Optional<EngineConfig> secondTransport() {
    return Optional.of(EngineConfig.of(environment()).withTransport("tcp"));
  }

  /** Operations of more than 4 GiB take minutes, so only {@code -Dlarge=true} tries them. */
  @Override
  protected boolean largeOperations() {
    return Boolean.getBoolean("large");
  }
}
