package io.uccl.p2p.transport.cxi;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs the C driver of the shim's core on real libfabric, plain and under the sanitizers. */
class CxiDriverTest {

  @ParameterizedTest
  @CsvSource({
    "p2p_cxi_driver, 2.1, cxi, provider",
    "p2p_cxi_driver, 2.1, tcp, provider",
    "p2p_cxi_driver, 2.1, sockets, provider",
    "p2p_cxi_driver, 2.1, shm, provider",
    "p2p_cxi_driver, 1.17, tcp;ofi_rxm, provider",
    "p2p_cxi_driver_sanitized, 2.1, cxi, sanitized",
    "p2p_cxi_driver_sanitized, 2.1, tcp, sanitized",
    "p2p_cxi_driver_sanitized, 2.1, sockets, sanitized",
    "p2p_cxi_driver_sanitized, 2.1, shm, sanitized",
    "p2p_cxi_driver_sanitized, 1.17, tcp;ofi_rxm, sanitized",
  })
  void theCoreHolds(String name, String version, String provider, String simulated)
      throws Exception {
    Path driver = Path.of(System.getProperty("p2p.native.build"), name);
    Needs.that("natives", Files.isExecutable(driver), driver + " was not built");
    String folder = Needs.simulatedCxi();
    String library = version.equals("1.17") ? Needs.oldLibfabric() : Needs.libfabric();
    ProcessBuilder builder =
        new ProcessBuilder(driver.toString(), library, provider).redirectErrorStream(true);
    // The counts of this JVM are not the driver's.
    builder.environment().remove("FI_CXI_SIM_COUNTS");
    builder.environment().put("FI_PROVIDER_PATH", folder + "/" + simulated);
    Process run = builder.start();
    String output = new String(run.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(run.waitFor(60, TimeUnit.SECONDS)).as(output).isTrue();
    assertThat(output).matches("\\Q" + provider + "\\E: [1-9][0-9]* checks, 0 failed\n");
    assertThat(run.exitValue()).isZero();
  }
}
