package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** A provider that takes three seconds to close an endpoint delays nobody. */
@ExtendWith(NeedsLibfabric.class)
@Tag("prove")
@Tag("faults")
@Timeout(120)
class SlowCloseTest {

  private static final Map<String, String> SLOW = Map.of("FI_CXI_SIM_CLOSE_MS", "3000");

  /** What the contract gives a close, in every state. */
  private static final long BOUND_MS = 1000;

  /** One takes less than a millisecond. */
  private static final long FEW = 50;

  @TempDir Path folder;

  private Map<String, String> scene(String name) throws Exception {
    Map<String, String> found =
        CxiChild.run(SlowCloseProbe.class, folder.resolve("counts"), SLOW, List.of(), name);
    System.out.println("a close of three seconds, " + name + ": " + found);
    assertThat(found.get("objects in the end")).matches("\\{(\\w+=0(, )?)+\\}");
    return found;
  }

  private static void quickly(Map<String, String> found, String thing) {
    assertThat(Long.parseLong(found.get(thing + " ms"))).as(thing).isLessThan(BOUND_MS);
    assertThat(found).containsEntry(thing + " before the provider", "true");
  }

  @Test
  void closesReturnAndOtherConnectionsTransferWhileAnEndpointCloses() throws Exception {
    Map<String, String> found = scene("engine");
    quickly(found, "region");
    quickly(found, "connection");
    quickly(found, "engine");
    assertThat(Long.parseLong(found.get("transfers meanwhile"))).isGreaterThan(FEW);
  }

  @Test
  void aFreshEndpointWorksWhileOneThatFailedCloses() throws Exception {
    Map<String, String> found = scene("device");
    assertThat(found)
        .containsEntry("failure", "TransportException")
        .containsEntry("failure of what was under way", "TransportException")
        .containsEntry("memory of what was under way", "IN_USE");
    assertThat(Long.parseLong(found.get("failures ms"))).isLessThan(BOUND_MS);
    quickly(found, "region");
    quickly(found, "fresh region");
    quickly(found, "fresh connection");
    assertThat(Long.parseLong(found.get("transfers meanwhile"))).isGreaterThan(FEW);
    quickly(found, "engine");
  }
}
