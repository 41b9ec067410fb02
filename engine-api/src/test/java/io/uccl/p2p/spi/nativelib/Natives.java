package io.uccl.p2p.spi.nativelib;

import io.uccl.p2p.spi.Availability;
import java.util.Arrays;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/** What tests do when something that they need is not there. */
final class Natives {

  private Natives() {}

  /** Aborts the test with the reason, or fails it if natives are required. */
  static void assume(boolean there, String reason) {
    if (!there && required()) {
      Assertions.fail("natives are required (-Dp2p.require=natives), but " + reason);
    }
    Assumptions.assumeTrue(there, reason);
  }

  static void assumeShim() {
    Availability shim = NativeMemory.availability();
    assume(shim.available(), shim.detail());
  }

  private static boolean required() {
    return Arrays.asList(System.getProperty("p2p.require", "").split(",")).contains("natives");
  }
}
