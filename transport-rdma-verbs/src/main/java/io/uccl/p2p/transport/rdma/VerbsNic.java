package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.MemoryKind;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.nativelib.CudaMemory;
import io.uccl.p2p.spi.nativelib.Errno;
import java.nio.ByteBuffer;
import java.util.BitSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * An opened device: its protection domain, completion queue, registrations and queue pairs.
 *
 * <p>Threads: the transport's owner, and the engine's thread for releases, which closes
 * registrations while others are in use, and in the end everything.
 */
final class VerbsNic {

  /** Completions read in one call. */
  static final int BATCH = 256;

  private static final int REMOTE_READ = 1;
  private static final int REMOTE_WRITE = 2;
  private static final int NO_DMABUF = -1;

  private static final int COMPLETION_BYTES = 24;
  private static final int TAG = 8;
  private static final int STATUS = 12;
  private static final int VENDOR = 16;

  private static final int EVENTS = 16;
  private static final int EVENT_BYTES = 8;

  private final VerbsOpening opening;
  private final VerbsFound found;
  private final long handle;

  /** Of the owner's calls; what else calls has a report of its own. */
  private final VerbsReport report = new VerbsReport();

  private final OffHeap completions = new OffHeap(BATCH * COMPLETION_BYTES);
  private final OffHeap events = new OffHeap(EVENTS * EVENT_BYTES);
  private final OffHeap key = new OffHeap(Long.BYTES);

  private final Set<VerbsQueuePair> queuePairs = new LinkedHashSet<>();

  /** Places of registrations that are not closed. Guarded by itself. */
  private final BitSet registrations = new BitSet();

  /** Of closing registrations. Guarded by {@link #registrations}. */
  private final VerbsReport closing = new VerbsReport();

  private boolean failed;
  private boolean shutDown;

  private VerbsNic(VerbsOpening opening, VerbsFound found, long handle) {
    this.opening = opening;
    this.found = found;
    this.handle = handle;
  }

  /**
   * Opens one.
   *
   * @throws TransportUnavailableException if the device or its library refuses
   */
  static VerbsNic open(VerbsOpening opening) {
    VerbsFound found = new VerbsFound();
    VerbsReport report = new VerbsReport();
    long handle = VerbsShim.open(opening.bytesAddress(), found.address(), report.address());
    if (handle < 0) {
      throw new TransportUnavailableException(
          "libibverbs does not open " + opening.port(),
          report.detail(VerbsRemedies.ofOpening(report)));
    }
    return new VerbsNic(opening, found, handle);
  }

  VerbsOpening opening() {
    return opening;
  }

  VerbsFound found() {
    return found;
  }

  long handle() {
    return handle;
  }

  /** Why the last call of the owner failed. */
  VerbsReport report() {
    return report;
  }

  /** Reads that a queue pair of this side serves. */
  int readsServed() {
    return Math.min(opening.readsServed(), found.readsServed());
  }

  /** What peers have to know of it. */
  VerbsParameters.Nic parameters() {
    return new VerbsParameters.Nic(
        ByteBuffer.wrap(found.gid()),
        found.lid(),
        found.isEthernet(),
        found.pathMtu(),
        readsServed());
  }

  // -- registrations

  /**
   * Registers memory at a free place, by which operations name it.
   *
   * @return the key that peers name it by
   * @throws RegistrationException if the device refuses
   */
  int register(int place, RegionAccess access, MemorySpan memory) {
    if (memory.length() > found.longestMemory()) {
      throw new RegistrationException(
          opening.port()
              + " registers no memory of "
              + memory.length()
              + " bytes, but "
              + found.longestMemory()
              + " at most",
          FailureDetail.remedy("Register it in pieces, as regions of their own")
              .withTransport("rdma"));
    }
    long result =
        memory.kind() == MemoryKind.HOST
            ? register(place, access, memory, NO_DMABUF)
            : registerGpu(place, access, memory);
    if (result < 0) {
      throw refused(memory);
    }
    synchronized (registrations) {
      registrations.set(place);
    }
    return (int) key.getLong(0);
  }

  private RegistrationException refused(MemorySpan memory) {
    boolean host = memory.kind() == MemoryKind.HOST;
    return new RegistrationException(
        opening.port()
            + " registers no memory of "
            + memory.length()
            + " bytes"
            + (host ? "" : " of GPU " + memory.device())
            + (report.error() == Errno.ENOMEM ? "; " + VerbsRemedies.lockedMemoryLimit() : ""),
        report.detail(VerbsRemedies.ofRegistration(report, memory.kind())));
  }

  /** Where the kernel shares no dma-buf, nvidia-peermem may find the memory by its address. */
  private long registerGpu(int place, RegionAccess access, MemorySpan memory) {
    int dmabuf = CudaMemory.openDmabuf(memory.address(), memory.length());
    if (dmabuf < 0) {
      return register(place, access, memory, NO_DMABUF);
    }
    try {
      long result = register(place, access, memory, dmabuf);
      return result == -Errno.ENOSYS || result == -Errno.EOPNOTSUPP
          ? register(place, access, memory, NO_DMABUF)
          : result;
    } finally {
      CudaMemory.closeDmabuf(dmabuf);
    }
  }

  private long register(int place, RegionAccess access, MemorySpan memory, int dmabuf) {
    int peers = (access.remoteRead() ? REMOTE_READ : 0) | (access.remoteWrite() ? REMOTE_WRITE : 0);
    return VerbsShim.register(
        handle,
        place,
        memory.address(),
        memory.length(),
        peers,
        dmabuf,
        key.address(),
        report.address());
  }

  /**
   * Closes the registration at a place.
   *
   * @return false if the device keeps it, or operations of this process use it
   */
  boolean close(int place) {
    synchronized (registrations) {
      if (!registrations.get(place)) {
        return true;
      }
      if (VerbsShim.closeMemory(handle, place, closing.address()) < 0) {
        return false;
      }
      registrations.clear(place);
      return true;
    }
  }

  // -- queue pairs and operations

  /**
   * Makes a queue pair, see {@link VerbsQueuePair}.
   *
   * @throws TransportException if the device has no room for it, or has failed
   */
  VerbsQueuePair createQueuePair(int tag, int depth, int firstPacket) {
    VerbsQueuePair pair = new VerbsQueuePair(this, tag, depth, firstPacket);
    queuePairs.add(pair);
    return pair;
  }

  void forget(VerbsQueuePair pair) {
    queuePairs.remove(pair);
  }

  /** Reads completions; how many, or {@code -errno} of the queue. */
  long poll(int count) {
    return VerbsShim.poll(handle, completions.address(), Math.min(count, BATCH), report.address());
  }

  long completedId(int index) {
    return completions.getLong(index * COMPLETION_BYTES);
  }

  int completedTag(int index) {
    return completions.getInt(index * COMPLETION_BYTES + TAG);
  }

  /** See {@link VerbsStatus}. */
  int completedStatus(int index) {
    return completions.getInt(index * COMPLETION_BYTES + STATUS);
  }

  int completedVendor(int index) {
    return completions.getInt(index * COMPLETION_BYTES + VENDOR);
  }

  /** What {@link #readEvents} calls. */
  interface Events {
    void event(int type, int tag);
  }

  /**
   * Calls {@code each} with every event; see {@link VerbsEvent}.
   *
   * @return how many there were, or {@code -errno} if they cannot be read any more
   */
  long readEvents(Events each) {
    long all = 0;
    long count;
    do {
      count = VerbsShim.events(handle, events.address(), EVENTS, report.address());
      for (int i = 0; i < count; i++) {
        each.event(events.getInt(i * EVENT_BYTES), events.getInt(i * EVENT_BYTES + 4));
      }
      all += count;
    } while (count == EVENTS);
    return count < 0 ? count : all;
  }

  // -- the end

  /** The device works no more: from now on it may only be shut down. */
  void fail() {
    failed = true;
  }

  boolean hasFailed() {
    return failed;
  }

  /** What {@link #forEachOutstanding} calls. */
  interface Outstanding {
    void operation(long id, int tag);
  }

  /** Calls {@code each} with every operation that has not come back. */
  void forEachOutstanding(Outstanding each) {
    int most = found.operations();
    OffHeap outstanding = new OffHeap(most * COMPLETION_BYTES);
    long count = VerbsShim.outstanding(handle, outstanding.address(), most);
    for (int i = 0; i < count; i++) {
      int at = i * COMPLETION_BYTES;
      each.operation(outstanding.getLong(at), outstanding.getInt(at + TAG));
    }
  }

  /**
   * Ends everything: destroys the queue pairs, closes what is registered and the device. When it
   * returns, nothing touches any memory. Idempotent; nothing else may be called afterwards.
   *
   * @throws TransportException if the device keeps something
   */
  synchronized void shutDown() {
    if (shutDown) {
      return;
    }
    List.copyOf(queuePairs).forEach(pair -> pair.destroy(true));
    synchronized (registrations) {
      for (int place : registrations.stream().toArray()) {
        close(place);
      }
    }
    VerbsReport why = new VerbsReport();
    if (VerbsShim.close(handle, why.address()) < 0) {
      throw why.failure("the device does not close", "End the process to free it");
    }
    shutDown = true;
  }
}
