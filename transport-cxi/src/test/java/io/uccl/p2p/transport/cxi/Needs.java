package io.uccl.p2p.transport.cxi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import java.net.InetAddress;
import java.util.Arrays;
import java.util.Map;

/** What tests need of the machine: they are left out visibly without it, or fail if it must run. */
final class Needs {

  private static final String FOLDER = System.getProperty("p2p.simcxi", "");

  private static final String MACHINES = "libfabric.so.1";

  private Needs() {}

  /** The folder of the simulated cxi provider. */
  static String simulatedCxi() {
    that("simcxi", !FOLDER.isEmpty(), "p2p.simcxi names no folder; ./p2p test makes one");
    return FOLDER;
  }

  /** The libfabric that the simulated provider was built with. */
  static String libfabric() {
    return simulatedCxi() + "/libfabric/lib/libfabric.so.1";
  }

  /** The machine's own libfabric, which is Debian 12's 1.17. */
  static String oldLibfabric() {
    natives();
    CxiOpening opening =
        new CxiOpening(
            Map.of("UCCL_CXI_PROVIDER", "tcp;ofi_rxm", "UCCL_LIBFABRIC_SO", MACHINES),
            0,
            InetAddress.getLoopbackAddress());
    boolean old;
    try {
      old = CxiDomains.find(opening).version().startsWith("1.");
    } catch (TransportUnavailableException e) {
      old = false;
    }
    that("oldfabric", old, "this machine has no libfabric 1.x: apt-get install libfabric1");
    return MACHINES;
  }

  /** The native part of this transport. */
  static void natives() {
    Availability there = CxiShim.LIBRARY.availability();
    that("natives", there.available(), there.detail());
  }

  /** Something by the name that {@code p2p.require} has for it. */
  static void that(String name, boolean there, String reason) {
    boolean required =
        Arrays.asList(System.getProperty("p2p.require", "").split(",", -1)).contains(name);
    assertThat(there || !required).as(reason).isTrue();
    assumeTrue(there, reason);
  }
}
