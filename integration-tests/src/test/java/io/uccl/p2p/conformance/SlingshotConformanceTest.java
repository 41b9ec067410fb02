package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;

/**
 * The kit on a Slingshot NIC of this machine, with the environment's libfabric, domain and service;
 * see {@code docs/cxi-hardware-checklist.md}. Nobody has run it yet.
 */
@Tag("prove-only")
@Tag("slingshot")
class SlingshotConformanceTest extends CxiConformance {

  private static final Path DEVICES = Path.of("/sys/class/cxi");

  SlingshotConformanceTest() {
    super("", "cxi", Refusal.PER_OPERATION, true);
  }

  @BeforeAll
  static void findADevice() {
    boolean there = Files.isDirectory(DEVICES);
    String required = System.getenv().getOrDefault("P2P_REQUIRE", "");
    String reason = "there is no Slingshot device: no " + DEVICES;
    assertThat(there || !Arrays.asList(required.split(",", -1)).contains("cxi"))
        .as(reason)
        .isTrue();
    assumeTrue(there, reason);
  }

  /** The simulated provider has cxi's name, and must not be found in its place. */
  @Override
  protected Map<String, String> environment() {
    Map<String, String> environment = new HashMap<>();
    System.getenv()
        .forEach(
            (name, value) -> {
              if (name.startsWith("UCCL_")) {
                environment.put(name, value);
              }
            });
    return environment;
  }
}
