package io.uccl.p2p.allocation;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.TransferBatch;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * From post to seen completion nothing is allocated: counted over all live threads of a JVM that
 * holds both sides, so that the target's work counts too.
 */
@Tag("prove")
class AllocationTest {

  private static final boolean PROVE = Boolean.getBoolean("p2p.prove");
  private static final Duration DEADLINE = Duration.ofSeconds(60);
  private static final int BATCH = 16;
  private static final double MOST_BYTES_AN_OPERATION = 0.01;

  @ParameterizedTest(name = "{0} of {1} bytes, {2} operations")
  @CsvSource({
    "write, 64, 400000",
    "read, 64, 400000",
    "write, 1179648, 8000",
    "read, 1179648, 8000",
  })
  void postingAndWaitingAllocateNothing(String mode, int size, int operations) throws Exception {
    EngineConfig config = EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp");
    try (P2pEngine here = P2pEngine.open(config);
        P2pEngine there = P2pEngine.open(config)) {
      MemoryRegion local = here.register(ByteBuffer.allocateDirect(BATCH * size));
      MemoryRegion remote = there.register(ByteBuffer.allocateDirect(BATCH * size));
      FifoDescriptor descriptor = remote.advertise();
      Connection peer = here.connect(there.metadata(), DEADLINE);
      try (TransferBatch single = peer.newBatch(1);
          TransferBatch batch = peer.newBatch(BATCH)) {
        fill(single, 1, mode, local, descriptor, size);
        fill(batch, BATCH, mode, local, descriptor, size);
        int total = PROVE ? 1_000_000 : operations;
        // Warmed up until the compiled code is in place and every pool has its size.
        run(single, batch, Math.max(total / 4, 2000));
        long before = allocated();
        run(single, batch, total);
        double perOperation = (double) (allocated() - before) / total;
        System.out.printf(
            "%s of %d bytes: %.6f bytes allocated an operation, over %d operations%n",
            mode, size, perOperation, total);
        assertThat(perOperation).isLessThanOrEqualTo(MOST_BYTES_AN_OPERATION);
      }
    }
  }

  private static void fill(
      TransferBatch batch,
      int count,
      String mode,
      MemoryRegion local,
      FifoDescriptor remote,
      int size) {
    for (int i = 0; i < count; i++) {
      long offset = (long) i * size;
      if (mode.equals("write")) {
        batch.write(local, offset, remote, offset, size);
      } else {
        batch.read(local, offset, remote, offset, size);
      }
    }
  }

  /** Half of the operations one by one, half of them in batches, deadlines armed. */
  private static void run(TransferBatch single, TransferBatch batch, int operations)
      throws InterruptedException {
    for (int i = 0; i < operations / 2; i++) {
      single.post(DEADLINE);
      single.await();
    }
    for (int i = 0; i < operations / 2 / BATCH; i++) {
      batch.post(DEADLINE);
      batch.await();
    }
  }

  private static long allocated() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long sum = 0;
    for (long bytes : threads.getThreadAllocatedBytes(threads.getAllThreadIds())) {
      sum += Math.max(0, bytes);
    }
    return sum;
  }
}
