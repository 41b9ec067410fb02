package io.uccl.p2p.guest;

import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.RegistrationException;
import java.util.Map;

/** Registers memory of each length that it is given, and prints what came of it. */
final class MemlockProbe {

  private MemlockProbe() {}

  /** {@code MemlockProbe LENGTH...}. */
  public static void main(String[] lengths) {
    try (P2pEngine engine = P2pEngine.open(EngineConfig.of(Map.of("UCCL_P2P_TRANSPORT", "rdma")))) {
      for (String length : lengths) {
        try (MemoryRegion region = engine.allocate(Long.parseLong(length))) {
          System.out.println(region.length() + " bytes registered");
        } catch (RegistrationException e) {
          System.out.println(e.getMessage());
        }
      }
    }
  }
}
