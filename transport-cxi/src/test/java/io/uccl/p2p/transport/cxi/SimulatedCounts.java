package io.uccl.p2p.transport.cxi;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * The counts and faults of the simulated cxi provider, in a file that its processes map: {@code
 * FI_CXI_SIM_COUNTS}. The layout, and what each means, is in {@code counts.h}.
 */
// The positions in the enums are the layout; SimulatedCxiTest compares them with counts.h.
@SuppressWarnings("EnumOrdinal")
final class SimulatedCounts {

  /** In the order of {@code SIM_COUNTER_NAMES}. */
  enum Counter {
    FABRICS,
    DOMAINS,
    EQS,
    AVS,
    CQS,
    ENDPOINTS,
    MRS,
    LINGERING,
    REGISTRATIONS,
    WRITES,
    READS,
    COMPLETIONS,
    FAILURES,
    EAGAINS,
    RMA_BEFORE_ENABLE,
    DESCRIPTORS_IGNORED,
    DESCRIPTORS_USED,
    DESCRIPTORS_BAD,
    INTERNAL_MAPPINGS,
    REFUSED_KEY,
    REFUSED_ACCESS,
    REFUSED_RANGE,
    LINGERED,
    LATE_ACCESSES,
    STRAY_ACCESSES,
    CLOSES_WAITED,
    CLOSES_CUT,
    REMOTE_WRITES,
    REMOTE_READS,
    GPU_REGISTRATIONS,
    DMABUF_REGISTRATIONS
  }

  /** In the order of {@code SIM_FAULT_NAMES}. */
  enum Fault {
    POST_ERROR,
    CQ_ERROR,
    LOST_COMPLETION,
    EAGAIN,
    GONE,
    REGISTRATION,
    REGION_CLOSE
  }

  /** When a fault strikes, in the order of {@code enum sim_fault_mode}. */
  enum Mode {
    OFF,
    EVERY,
    AT,
    AFTER
  }

  private static final int SIZE = 4096;
  private static final int COUNTERS = 8;
  private static final int FAULTS = 2048;
  private static final int FAULT = 32;
  private static final long MAGIC = 0x31304958434d4953L;

  private final ByteBuffer block;

  /** Maps the file; it is made when it is not there. */
  SimulatedCounts(Path file) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      block = channel.map(FileChannel.MapMode.READ_WRITE, 0, SIZE).order(ByteOrder.nativeOrder());
    }
  }

  /** Whether a provider has begun to count. */
  boolean isInUse() {
    return block.getLong(0) == MAGIC;
  }

  long get(Counter counter) {
    return block.getLong(COUNTERS + 8 * counter.ordinal());
  }

  /** Makes a fault strike: each n-th time, the n-th time, or always after the n-th, from now on. */
  void set(Fault fault, Mode mode, long n) {
    int at = FAULTS + FAULT * fault.ordinal();
    block.putLong(at, Mode.OFF.ordinal());
    block.putLong(at + 8, n);
    block.putLong(at + 16, 0);
    block.putLong(at, mode.ordinal());
  }

  /** How often a fault struck. */
  long struck(Fault fault) {
    return block.getLong(FAULTS + FAULT * fault.ordinal() + 24);
  }
}
