package io.uccl.p2p.guest;

import io.uccl.p2p.conformance.KitRules;
import io.uccl.p2p.conformance.TransportConformance;
import io.uccl.p2p.kit.KitProcess;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.extension.ExtendWith;

/** The rules about data on the rdma transport as it can be set, two processes in one guest. */
@Tag("vm")
@ExtendWith(NeedsGuest.class)
class VerbsVariantsTest {

  /** Both sides have two devices, which are the same one opened twice, and two queue pairs each. */
  static final class TwoDevices extends VerbsKit {
    @Override
    protected Map<String, String> environment() {
      return with("UCCL_P2P_RDMA_DEV", "rxe0,rxe0", super.environment());
    }
  }

  /** A read is behind each chain of writes. */
  static final class Flushed extends VerbsKit {
    @Override
    protected Map<String, String> environment() {
      return with("UCCL_P2P_RDMA_FLUSH", "on", super.environment());
    }
  }

  /** One queue pair, as on devices that have few. */
  static final class OneQueuePair extends VerbsKit {
    @Override
    protected Map<String, String> environment() {
      return with("UCCL_P2P_RDMA_QPS", "1", super.environment());
    }
  }

  private static Map<String, String> with(String name, String value, Map<String, String> others) {
    Map<String, String> all = new HashMap<>(others);
    all.put(name, value);
    return all;
  }

  @TestFactory
  Stream<DynamicTest> twoDevicesCarryAll() throws IOException {
    return run(
        TwoDevices.class,
        List.of(TransportConformance.Data.class, TransportConformance.Refusals.class));
  }

  @TestFactory
  Stream<DynamicTest> flushedWritesArrive() throws IOException {
    return run(Flushed.class, List.of(TransportConformance.Data.class));
  }

  @TestFactory
  Stream<DynamicTest> oneQueuePairCarriesAll() throws IOException {
    return run(OneQueuePair.class, List.of(TransportConformance.Data.class));
  }

  @TestFactory
  Stream<DynamicTest> regionsTakeWhatTheDeviceAndTheSettingsWant() throws IOException {
    return KitProcess.start(
            Guest.command("env", VerbsConformanceTest.JVM_OPTIONS),
            System.getProperty("java.class.path"),
            VerbsRegions.class.getName(),
            "!prove-only",
            List.of())
        .tests(KitProcess.testsOf(VerbsRegions.class));
  }

  private static Stream<DynamicTest> run(Class<? extends VerbsKit> kit, List<Class<?>> groups)
      throws IOException {
    return KitProcess.start(
            Guest.command("env", VerbsConformanceTest.JVM_OPTIONS),
            System.getProperty("java.class.path"),
            kit.getName(),
            "!prove-only",
            groups,
            List.of(VerbsConformanceTest.NO_LIMIT_OF_A_RULE))
        .tests(KitRules.everyday(groups));
  }
}
