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

/** Registering, advertising, writing and closing memory again and again leaves nothing behind. */
@ExtendWith(NeedsLibfabric.class)
@Timeout(600)
class CxiCyclesTest {

  private static final int CYCLES = Boolean.getBoolean("p2p.prove") ? 10_000 : 2_000;

  /** From this cycle on the process has all the memory that it needs. */
  private static final int SETTLED = 1_000;

  private static final double MOST_GROWTH = 0.02;

  /** All that grows with a JVM's age is there from the start, or small. */
  private static final List<String> STEADY =
      List.of(
          "-Xms32m",
          "-Xmx32m",
          "-Xmn4m",
          "-XX:+AlwaysPreTouch",
          "-XX:+UseSerialGC",
          "-XX:TieredStopAtLevel=1");

  @TempDir Path folder;

  private Map<String, String> cycles(int count, String end) throws Exception {
    return CxiChild.run(
        CxiCyclesProbe.class,
        folder.resolve("counts"),
        Map.of(),
        STEADY,
        Integer.toString(count),
        Integer.toString(SETTLED),
        end);
  }

  private static double growth(Map<String, String> found) {
    double base = Long.parseLong(found.get("kilobytes at first"));
    return Long.parseLong(found.get("kilobytes at most")) / base - 1;
  }

  @Test
  @Tag("prove")
  @Tag("cycles")
  void cyclesOfRegisterAdvertiseWriteAndCloseLeaveNothing() throws Exception {
    Map<String, String> found = cycles(CYCLES, "close");
    System.out.printf(
        "%d cycles of register, advertise, write and close: %s kB resident at cycle %d, at most"
            + " %s kB later; live objects before and after: %s, %s%n",
        CYCLES,
        found.get("kilobytes at first"),
        SETTLED,
        found.get("kilobytes at most"),
        found.get("objects before"),
        found.get("objects after"));
    assertThat(found.get("REGISTRATIONS"))
        .as("one a cycle, and the source")
        .isEqualTo(Integer.toString(CYCLES + 1));
    assertThat(found.get("objects after")).isEqualTo(found.get("objects before"));
    assertThat(found.get("objects in the end")).isEqualTo(found.get("objects in the beginning"));
    assertThat(growth(found)).as("growth from cycle %d on", SETTLED).isLessThan(MOST_GROWTH);
    assertThat(found.get("RMA_BEFORE_ENABLE"))
        .as("operations before the endpoint was enabled")
        .isEqualTo("0");
    assertThat(found.get("REFUSED_KEY"))
        .as("operations on registrations without a key")
        .isEqualTo("0");
  }

  @Test
  void whatIsLeftBehindIsSeen() throws Exception {
    Map<String, String> found = cycles(SETTLED + 500, "leave");
    assertThat(found.get("objects after")).isNotEqualTo(found.get("objects before"));
    assertThat(growth(found)).isGreaterThan(MOST_GROWTH);
    assertThat(found.get("objects in the end"))
        .as("closed with the engine")
        .isEqualTo(found.get("objects in the beginning"));
  }
}
