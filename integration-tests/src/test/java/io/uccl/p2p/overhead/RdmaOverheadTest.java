package io.uccl.p2p.overhead;

import io.uccl.p2p.guest.Guest;
import io.uccl.p2p.guest.NeedsGuest;
import io.uccl.p2p.kit.KitProcess;
import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.extension.ExtendWith;

/** What the engine adds to verbs, in a guest: each figure is a test here too. */
@Tag("prove-only")
@Tag("figures-rdma")
@ExtendWith(NeedsGuest.class)
class RdmaOverheadTest {

  private static final int SECONDS = 1200;

  @TestFactory
  Stream<DynamicTest> theEngineAddsLittleToVerbs() throws IOException {
    KitProcess figures =
        KitProcess.start(
            Guest.command("-t", Integer.toString(SECONDS)),
            System.getProperty("java.class.path"),
            RdmaOverhead.class.getName(),
            "!prove-only",
            // Of the JVM that only measures: what it compiles takes time from both.
            List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"));
    return figures.tests(KitProcess.testsOf(RdmaOverhead.class));
  }
}
