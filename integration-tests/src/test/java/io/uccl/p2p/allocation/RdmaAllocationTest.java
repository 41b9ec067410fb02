package io.uccl.p2p.allocation;

import io.uccl.p2p.guest.Guest;
import io.uccl.p2p.guest.NeedsGuest;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Over rdma, in a guest, from post to seen completion nothing is allocated, deadlines armed. */
@Tag("vm")
@Tag("prove")
@Tag("rdma-allocation")
@ExtendWith(NeedsGuest.class)
class RdmaAllocationTest {

  // The guest is slow, so there are fewer than over tcp.
  @ParameterizedTest(name = "{0} of {1} bytes")
  @CsvSource({"write, 64, 20000", "read, 64, 20000", "write, 1179648, 300", "read, 1179648, 300"})
  void postingAndWaitingAllocateNothing(String mode, int size, int operations) throws Exception {
    Allocation.isNothing(
        Guest.command(), Map.of("UCCL_P2P_TRANSPORT", "rdma"), mode, size, operations);
  }
}
