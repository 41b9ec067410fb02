package io.uccl.p2p.allocation;

import io.uccl.p2p.conformance.NeedsLibfabric;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Over cxi, from post to seen completion nothing is allocated, deadlines armed. */
@Tag("prove")
@Tag("cxi-allocation")
@ExtendWith(NeedsLibfabric.class)
class CxiAllocationTest {

  // The simulated provider is slow: small ones tell as much.
  @ParameterizedTest(name = "{0} of {1} bytes")
  @CsvSource({"write, 64, 20000", "read, 64, 20000"})
  void postingAndWaitingAllocateNothing(String mode, int size, int operations) throws Exception {
    Map<String, String> environment =
        Map.of(
            "UCCL_P2P_TRANSPORT",
            "cxi",
            "UCCL_CXI_PROVIDER",
            "cxi",
            "UCCL_LIBFABRIC_SO",
            NeedsLibfabric.LIBRARY);
    Allocation.isNothing(environment, mode, size, operations);
  }
}
