package io.uccl.p2p.allocation;

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
import java.util.HashMap;
import java.util.Map;

/**
 * Prints how many bytes all live threads of this JVM allocate while operations are posted and
 * waited for. It holds both sides, so that the target's work counts too, and nothing but them.
 */
final class AllocationProbe {

  private static final Duration DEADLINE = Duration.ofSeconds(60);
  private static final int BATCH = 16;

  private AllocationProbe() {}

  public static void main(String[] args) throws InterruptedException {
    String mode = args[0];
    int size = Integer.parseInt(args[1]);
    int operations = Integer.parseInt(args[2]);
    int rounds = Integer.parseInt(args[3]);
    // From the environment, as it is for everybody.
    EngineConfig config = EngineConfig.fromEnvironment();
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
        // Warmed up until the compiled code is in place and every pool has its size.
        run(single, batch, Math.max(operations / 4, 2000));
        long least = Long.MAX_VALUE;
        for (int round = 0; round < rounds && least > 0; round++) {
          long counting = -sum(allocated()) + sum(allocated());
          Map<Long, Long> before = allocated();
          run(single, batch, operations);
          Map<Long, Long> after = allocated();
          report(before, after);
          least = Math.min(least, sum(after) - sum(before) - counting);
        }
        System.out.println(least);
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

  /** Bytes allocated so far, by the ids of the threads that live. */
  private static Map<Long, Long> allocated() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    long[] ids = threads.getAllThreadIds();
    long[] bytes = threads.getThreadAllocatedBytes(ids);
    Map<Long, Long> allocated = new HashMap<>();
    for (int i = 0; i < ids.length; i++) {
      allocated.put(ids[i], Math.max(0, bytes[i]));
    }
    return allocated;
  }

  private static long sum(Map<Long, Long> allocated) {
    long sum = 0;
    for (long bytes : allocated.values()) {
      sum += bytes;
    }
    return sum;
  }

  /** Says which threads it was; counting is in it. */
  private static void report(Map<Long, Long> before, Map<Long, Long> after) {
    StringBuilder threads = new StringBuilder("allocated in a round:");
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      long bytes = after.getOrDefault(thread.getId(), 0L) - before.getOrDefault(thread.getId(), 0L);
      if (bytes > 0) {
        threads.append(' ').append(thread.getName()).append('=').append(bytes);
      }
    }
    System.err.println(threads);
  }
}
