package io.uccl.p2p.allocation;

import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Over tcp, from post to seen completion nothing is allocated, deadlines armed. */
@Tag("prove")
@Tag("allocation")
class AllocationTest {

  @ParameterizedTest(name = "{0} of {1} bytes")
  @CsvSource({
    "write, 64, 50000",
    "read, 64, 50000",
    "write, 1179648, 2000",
    "read, 1179648, 2000",
  })
  void postingAndWaitingAllocateNothing(String mode, int size, int operations) throws Exception {
    Allocation.isNothing(Map.of("UCCL_P2P_TRANSPORT", "tcp"), mode, size, operations);
  }
}
