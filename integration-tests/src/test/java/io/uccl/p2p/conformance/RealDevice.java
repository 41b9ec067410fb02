package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Arrays;
import java.util.Map;
import java.util.stream.Collectors;

/** What the kits need that run on a device of this machine. */
final class RealDevice {

  private RealDevice() {}

  /**
   * Leaves a kit out where there is no such device; with the transport in {@code P2P_REQUIRE} that
   * is a failure.
   */
  static void require(String transport, boolean isThere, String reason) {
    String required = System.getenv().getOrDefault("P2P_REQUIRE", "");
    assertThat(isThere || !Arrays.asList(required.split(",", -1)).contains(transport))
        .as(reason)
        .isTrue();
    assumeTrue(isThere, reason);
  }

  /** The variables of this process that are the engine's. */
  static Map<String, String> environment() {
    return System.getenv().entrySet().stream()
        .filter(variable -> variable.getKey().startsWith("UCCL_"))
        .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
  }
}
