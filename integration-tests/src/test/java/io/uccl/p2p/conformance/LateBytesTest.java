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

/**
 * No byte comes into a region that is closed, from whomever, where cxi's match events are on and
 * its cache of registrations is off; and where they are not, it does, and the transport says so.
 */
@ExtendWith(NeedsLibfabric.class)
@Timeout(600)
class LateBytesTest {

  private static final int CLOSES = Boolean.getBoolean("p2p.prove") ? 1_000 : 50;
  private static final int WRITERS = 8;

  /** A library from before the settings that the transport turns on and off. */
  private static final Map<String, String> OLD = Map.of("FI_CXI_SIM_OLD", "1");

  @TempDir Path folder;

  private Map<String, String> closes(int count, Map<String, String> environment, long mostWrites)
      throws Exception {
    Map<String, String> found =
        CxiChild.run(
            LateBytesProbe.class,
            folder.resolve("counts"),
            environment,
            List.of(),
            folder.toString(),
            Integer.toString(count),
            Long.toString(mostWrites));
    System.out.printf(
        "%d closes under %d writers that nobody tells of them, %s: %s%n",
        count, WRITERS, environment, found);
    return found;
  }

  @Test
  @Tag("prove")
  @Tag("faults")
  void noByteComesAfterTheCloseOfARegionUnderEightWriters() throws Exception {
    Map<String, String> found = closes(CLOSES, Map.of(), Long.MAX_VALUE);
    assertThat(found)
        .containsEntry("revokesOnClose", "true")
        .containsEntry("rounds with late bytes", "0")
        .containsEntry("LATE_ACCESSES", "0")
        .containsEntry("writers refused", Integer.toString(WRITERS * CLOSES))
        .containsEntry("writers never refused", "0");
    assertThat(Integer.parseInt(found.get("CLOSES_WAITED")))
        .as("closes with a write in the middle of its pieces")
        .isGreaterThan(CLOSES / 2);
  }

  @Test
  void withoutMatchEventsLateBytesComeAndTheTransportPromisesNothing() throws Exception {
    Map<String, String> found = closes(10, OLD, Long.MAX_VALUE);
    assertThat(found).containsEntry("revokesOnClose", "false").containsEntry("CLOSES_WAITED", "0");
    assertThat(found.get("rounds with late bytes")).isNotEqualTo("0");
    assertThat(found.get("LATE_ACCESSES")).isNotEqualTo("0");
  }

  @Test
  void withTheCacheOnAClosedRegionStaysOpenAndTheTransportPromisesNothing() throws Exception {
    Map<String, String> found =
        closes(2, Map.of("FI_CXI_SIM_OLD", "1", "FI_MR_CACHE_MONITOR", "userfaultfd"), 100);
    assertThat(found)
        .containsEntry("revokesOnClose", "false")
        .containsEntry("rounds with late bytes", "2")
        .containsEntry("writers refused", "0")
        .containsEntry("writers never refused", Integer.toString(2 * WRITERS));
  }

  @Test
  void matchEventsOfTheEnvironmentKeepLateBytesOutOfAnOldLibraryToo() throws Exception {
    Map<String, String> found =
        closes(10, Map.of("FI_CXI_SIM_OLD", "1", "FI_CXI_MR_MATCH_EVENTS", "1"), Long.MAX_VALUE);
    assertThat(found)
        .as("the library does not say that they are on")
        .containsEntry("revokesOnClose", "false")
        .containsEntry("rounds with late bytes", "0")
        .containsEntry("LATE_ACCESSES", "0");
  }
}
