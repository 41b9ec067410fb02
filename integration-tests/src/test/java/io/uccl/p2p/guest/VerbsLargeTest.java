package io.uccl.p2p.guest;

import io.uccl.p2p.conformance.KitRules;
import io.uccl.p2p.conformance.TransportConformance;
import io.uccl.p2p.kit.KitProcess;
import java.io.IOException;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The rule about offsets beyond 4 GiB on the rdma transport: two processes in a guest of 12 GiB,
 * each with a region of more than 4 GiB that the device has locked.
 */
@Tag("vm")
@Tag("prove-only")
@Tag("large-rdma")
@ExtendWith(NeedsGuest.class)
class VerbsLargeTest {

  static final class Kit extends VerbsKit {
    @Override
    protected boolean largeRegions() {
      return true;
    }
  }

  @TestFactory
  Stream<DynamicTest> offsetsBeyondFourGibWork() throws IOException {
    List<Class<?>> data = List.of(TransportConformance.Data.class);
    return KitProcess.start(
            Guest.command("-t", "1200", "-m", "12288", "env", VerbsConformanceTest.JVM_OPTIONS),
            System.getProperty("java.class.path"),
            Kit.class.getName(),
            "large-regions",
            data,
            List.of(VerbsConformanceTest.NO_LIMIT_OF_A_RULE))
        .tests(KitRules.tagged(data, "large-regions"));
  }
}
