package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import java.nio.file.Files;
import java.nio.file.Path;
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
    RealDevice.require(
        "cxi", Files.isDirectory(DEVICES), "there is no Slingshot device: no " + DEVICES);
  }

  /** The simulated provider has cxi's name, and must not be found in its place. */
  @Override
  protected Map<String, String> environment() {
    return RealDevice.environment();
  }
}
