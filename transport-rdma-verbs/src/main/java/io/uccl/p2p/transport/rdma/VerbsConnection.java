package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.nativelib.OffHeap;
import java.lang.ref.Reference;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Reliable connected queue pairs that lead to one peer, spread over the NICs. Made, they receive
 * nothing; connected, they carry operations; broken, they give back what they have; detached, the
 * NICs know nothing of them; destroyed, they are no more. {@code p2p_verbs.h} draws what it is made
 * of as {@code struct p2p_verbs_making}.
 *
 * <p>Threads: the transport's owner; in between, one that connects; once it is detached, one that
 * destroys it, and last the engine's thread for releases.
 */
final class VerbsConnection {

  private static final int NICS = 0;
  private static final int PAIRS = 4;
  private static final int DEPTH = 8;
  private static final int OPERATIONS = 12;
  private static final int TAG = 16;
  private static final int FLUSH = 20;
  private static final int PROGRESS = 24;
  private static final int HANDLES = 32;
  private static final int NUMBERS = 64;
  private static final int BYTES = 128;

  /** Work requests of a queue pair, as in the C++ engine. */
  private static final int WANTED_DEPTH = 1024;

  private static final int COMPLETION_BYTES = 24;

  private final List<VerbsNic> nics;
  private final int operations;
  private final int[] firstPackets;
  private final int[] numbers;
  private final OffHeap progress = new OffHeap(Long.BYTES);
  private final VerbsReport report = new VerbsReport();
  private final long handle;
  private int theirNics;
  private volatile boolean connecting;
  private BooleanSupplier withdrawal = () -> false;
  private boolean broken;
  private boolean detached;
  private boolean leaving;
  private boolean destroyed;

  /**
   * Makes one; queue pair {@code i} is on NIC {@code i} modulo their number.
   *
   * @param operations that can be outstanding
   * @param tag what its completions and events carry
   * @param flush whether a read behind each chain of writes proves that they are placed
   * @param firstPackets for each queue pair the number of the first packet that it sends, 24 bits
   * @throws TransportException if a device has no room for it
   */
  VerbsConnection(List<VerbsNic> nics, int operations, int tag, boolean flush, int[] firstPackets) {
    this.nics = nics;
    this.operations = operations;
    this.firstPackets = firstPackets;
    OffHeap making = new OffHeap(BYTES);
    making.putInt(NICS, nics.size());
    making.putInt(PAIRS, firstPackets.length);
    making.putInt(
        DEPTH,
        nics.stream().mapToInt(nic -> nic.found().sendDepth()).reduce(WANTED_DEPTH, Math::min));
    making.putInt(OPERATIONS, operations);
    making.putInt(TAG, tag);
    making.putInt(FLUSH, flush ? 1 : 0);
    making.putLong(PROGRESS, progress.address());
    for (int i = 0; i < nics.size(); i++) {
      making.putLong(HANDLES + Long.BYTES * i, nics.get(i).handle());
    }
    handle = VerbsShim.create(making.address(), report.address());
    if (handle < 0) {
      throw report.failure(
          "the device makes no queue pairs for another connection",
          "Close connections, or have fewer queue pairs for each (UCCL_P2P_RDMA_QPS), or raise the"
              + " limit of locked memory (ulimit -l); see max_qp in ibv_devinfo -v");
    }
    numbers =
        IntStream.range(0, firstPackets.length)
            .map(i -> making.getInt(NUMBERS + Integer.BYTES * i))
            .toArray();
  }

  /** What the peer has to know. */
  VerbsParameters parameters() {
    return new VerbsParameters(
        nics.stream().map(VerbsNic::parameters).toList(),
        IntStream.range(0, numbers.length)
            .mapToObj(
                i -> new VerbsParameters.QueuePair(i % nics.size(), numbers[i], firstPackets[i]))
            .toList());
  }

  /**
   * Connects its queue pairs to the peer's; those of the side that has more are given up. The
   * kernel may look for the peer's address for a second, so another thread does it. Until it has,
   * this cannot be detached.
   *
   * @param then hears of the end, on that thread: of the device's refusal, or null; not if it is
   *     detached before its turn comes
   * @throws HandshakeException if the peer is on another network
   */
  void connect(
      VerbsParameters theirs,
      ThreadPoolExecutor connector,
      Consumer<@Nullable HandshakeException> then) {
    int count = Math.min(numbers.length, theirs.queuePairs().size());
    VerbsPaths paths = new VerbsPaths(count);
    for (int i = 0; i < count; i++) {
      paths.set(i, nics.get(i % nics.size()), firstPackets[i], theirs);
    }
    if (VerbsShim.reduce(handle, count, report.address()) < 0) {
      throw new HandshakeException(
          "the device keeps queue pairs that the peer has none for",
          report.detail("Close the engine and open a new one"));
    }
    theirNics = theirs.nics().size();
    Runnable work = () -> then.accept(connect(paths, count));
    withdrawal = () -> connector.remove(work);
    connecting = true;
    try {
      connector.execute(work);
    } catch (RuntimeException | Error e) {
      connecting = false;
      throw e;
    }
  }

  private @Nullable HandshakeException connect(VerbsPaths paths, int count) {
    try {
      return VerbsShim.connect(handle, paths.address(), count, report.address()) >= 0
          ? null
          : new HandshakeException(
              "the device does not connect to the peer's queue pair",
              report.detail(
                  "See that the peer's address can be reached from this one (ping), and that both"
                      + " ports are in one network; UCCL_P2P_RDMA_GID_INDEX chooses another address"));
    } finally {
      // Their memory goes with them.
      Reference.reachabilityFence(paths);
      connecting = false;
    }
  }

  /** Gives up connecting it, if its turn has not come. */
  void withdraw() {
    if (connecting && withdrawal.getAsBoolean()) {
      connecting = false;
    }
  }

  /** NICs of the peer, for which its descriptors have keys; 0: it is not connected. */
  int theirNics() {
    return theirNics;
  }

  /** How many were taken, or {@code -errno} if the first one is no operation. */
  long post(long slots, int count) {
    return VerbsShim.post(handle, slots, count, report.address());
  }

  /** Why the last call failed. */
  VerbsReport report() {
    return report;
  }

  /** Grows with each work request that ended. */
  long progress() {
    return progress.getLong(0);
  }

  /**
   * What is outstanding comes back, and the peer is served no more. A device that refuses has
   * failed, which its events tell. One that is being connected has nothing outstanding, and goes
   * when that is over.
   */
  void breakPairs() {
    if (!detached && !connecting) {
      broken = true;
      VerbsShim.breakConnection(handle, report.address());
    }
  }

  /** Calls {@code each} with the id of every operation that has not come back. */
  void forEachOutstanding(LongConsumer each) {
    OffHeap outstanding = new OffHeap(operations * COMPLETION_BYTES);
    long count = detached ? 0 : VerbsShim.outstanding(handle, outstanding.address(), operations);
    for (int i = 0; i < count; i++) {
      each.accept(outstanding.getLong(i * COMPLETION_BYTES));
    }
  }

  /**
   * Takes it from its NICs, which tell nothing of it any more. Idempotent.
   *
   * @param outstandingToo if work requests are outstanding, which nobody polls for any more
   * @return false if work requests have not come back, or it is being connected; to be tried again
   *     when the NICs have been polled
   */
  boolean detach(boolean outstandingToo) {
    withdraw();
    if (!broken) {
      // It was closed while it was being connected, and would serve the peer until it is destroyed.
      breakPairs();
    }
    if (!detached && !connecting) {
      detached = VerbsShim.detach(handle, outstandingToo, report.address()) >= 0;
    }
    return detached;
  }

  /**
   * Has another thread destroy it, once it is detached: the kernel may take its time. Idempotent.
   *
   * @param then hears of it on that thread; not if the device keeps it, or the process has no room
   *     for the thread
   */
  void destroy(Executor destroyer, Runnable then) {
    if (leaving) {
      return;
    }
    leaving = true;
    try {
      destroyer.execute(
          () -> {
            if (destroy()) {
              then.run();
            }
          });
    } catch (OutOfMemoryError e) {
      // There is no room for another thread: it is destroyed with the transport.
    }
  }

  /**
   * Destroys it, once it is detached. Afterwards nothing touches the memory of its operations.
   * Idempotent.
   *
   * @return false if the device keeps it
   */
  boolean destroy() {
    destroyed = destroyed || VerbsShim.destroy(handle, report.address()) >= 0;
    return destroyed;
  }
}
