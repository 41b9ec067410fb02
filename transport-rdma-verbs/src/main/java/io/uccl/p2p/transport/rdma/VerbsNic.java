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
import io.uccl.p2p.spi.nativelib.OffHeap;
import java.nio.ByteBuffer;
import java.util.BitSet;

/**
 * An opened device: its protection domain, completion queue and registrations.
 *
 * <p>Threads: the transport's owner, and the engine's thread for releases, which closes
 * registrations while others are in use, and in the end everything.
 */
final class VerbsNic {

  /** Completions read in one call. */
  static final int BATCH = 256;

  /** Events read in one call. */
  static final int EVENTS = 16;

  private static final int REMOTE_READ = 1;
  private static final int REMOTE_WRITE = 2;
  private static final int NO_DMABUF = -1;

  private static final int COMPLETION_BYTES = 24;
  private static final int TAG = 8;
  private static final int STATUS = 12;
  private static final int VENDOR = 16;
  private static final int KIND = 20;

  private static final int BROKEN = 1;

  private static final int EVENT_BYTES = 8;
  private static final int EVENT_TAG = 4;

  private final VerbsOpening opening;
  private final VerbsFound found;
  private final long handle;

  /** Of the owner's calls; what else calls has a report of its own. */
  private final VerbsReport report = new VerbsReport();

  private final OffHeap completions = new OffHeap(BATCH * COMPLETION_BYTES);
  private final OffHeap events = new OffHeap(EVENTS * EVENT_BYTES);
  private final OffHeap keys = new OffHeap(VerbsKeys.MOST * Integer.BYTES);

  /** Places of registrations that are not closed. Guarded by itself. */
  private final BitSet registrations = new BitSet();

  /** Of closing registrations. Guarded by {@link #registrations}. */
  private final VerbsReport closing = new VerbsReport();

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

  /** Whether it reaches peers, and is reached, by address alone. */
  boolean isByAddress() {
    return opening.isByAddress() || found.needsAddress();
  }

  /** Reads that a queue pair of this side serves. */
  int readsServed() {
    return Math.min(opening.readsServed(), found.readsServed());
  }

  /**
   * Looks at the port again, which may have got another address meanwhile.
   *
   * @throws TransportException if it has none any more where it had one, or is not active
   */
  void refresh() {
    if (VerbsShim.refresh(handle, found.address(), report.address()) < 0) {
      throw report.failure(
          opening.port() + " cannot be connected",
          "Give its interface the address again that it had, or open a new engine; see rdma link");
    }
    if (!found.isActive()) {
      throw new TransportException(
          opening.port() + " is down, so nothing can be connected over it",
          FailureDetail.remedy(VerbsRemedies.RAISE_PORT).withTransport("rdma"));
    }
  }

  /** Whether its link is down. */
  boolean isDown() {
    return opening.link().isDown();
  }

  /** What peers have to know of it. */
  VerbsParameters.Nic parameters() {
    return new VerbsParameters.Nic(
        ByteBuffer.wrap(found.gid()),
        found.lid(),
        found.isEthernet(),
        found.pathMtu(),
        readsServed(),
        opening.isRoutable(),
        isByAddress());
  }

  // -- registrations

  /**
   * Registers memory at a free place, by which operations name it.
   *
   * @param to gets the keys that peers name its pieces by, and says which pieces there are
   * @param nic number of this NIC
   * @throws RegistrationException if the device refuses
   */
  void register(int place, RegionAccess access, MemorySpan memory, VerbsKeys to, int nic) {
    long result =
        memory.kind() == MemoryKind.HOST
            ? register(place, access, memory, to.shift(), NO_DMABUF)
            : registerGpu(place, access, memory, to.shift());
    if (result < 0) {
      throw refused(memory);
    }
    synchronized (registrations) {
      registrations.set(place);
    }
    long last = (memory.address() + memory.length() - 1) >>> to.shift();
    for (long piece = memory.address() >>> to.shift(); piece <= last; piece++) {
      to.put(nic, piece, keys.getInt((int) (piece % VerbsKeys.MOST) * Integer.BYTES));
    }
  }

  private RegistrationException refused(MemorySpan memory) {
    boolean host = memory.kind() == MemoryKind.HOST;
    return new RegistrationException(
        opening.port()
            + " registers no memory of "
            + memory.length()
            + " bytes"
            + (host ? "" : " of GPU " + memory.device())
            + (VerbsRemedies.isOfLockedMemory(report)
                ? "; " + VerbsRemedies.lockedMemoryLimit()
                : ""),
        report.detail(VerbsRemedies.ofRegistration(report, memory.kind())));
  }

  /** Where the kernel shares no dma-buf, nvidia-peermem may find the memory by its address. */
  private long registerGpu(int place, RegionAccess access, MemorySpan memory, int shift) {
    int dmabuf = CudaMemory.openDmabuf(memory.address(), memory.length());
    if (dmabuf < 0) {
      return register(place, access, memory, shift, NO_DMABUF);
    }
    try {
      long result = register(place, access, memory, shift, dmabuf);
      return result == -Errno.ENOSYS
              || result == -Errno.EOPNOTSUPP
              || result == -Errno.EPROTONOSUPPORT
          ? register(place, access, memory, shift, NO_DMABUF)
          : result;
    } finally {
      CudaMemory.closeDmabuf(dmabuf);
    }
  }

  private long register(int place, RegionAccess access, MemorySpan memory, int shift, int dmabuf) {
    int peers = (access.remoteRead() ? REMOTE_READ : 0) | (access.remoteWrite() ? REMOTE_WRITE : 0);
    return VerbsShim.register(
        handle,
        place,
        memory.address(),
        memory.length(),
        shift,
        peers,
        dmabuf,
        keys.address(),
        report.address());
  }

  /** What became of the try to close a registration; the worst comes last. */
  enum Closing {
    /** It is closed, or was. */
    CLOSED,
    /** Operations of this process use it. */
    IN_USE,
    /** The device keeps it. */
    KEPT
  }

  /** Closes the registration at a place, if there is one. */
  Closing close(int place) {
    synchronized (registrations) {
      if (!registrations.get(place)) {
        return Closing.CLOSED;
      }
      long result = VerbsShim.closeMemory(handle, place, closing.address());
      if (result < 0) {
        return result == -Errno.EAGAIN ? Closing.IN_USE : Closing.KEPT;
      }
      registrations.clear(place);
      return Closing.CLOSED;
    }
  }

  // -- completions and events

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

  /** Whether it is no operation that ended, but the connection that broke. */
  boolean isBroken(int index) {
    return completions.getInt(index * COMPLETION_BYTES + KIND) == BROKEN;
  }

  int completedVendor(int index) {
    return completions.getInt(index * COMPLETION_BYTES + VENDOR);
  }

  /**
   * Reads events; how many, or {@code -errno} if they cannot be read any more. As many as {@link
   * #EVENTS}: there may be more.
   */
  long readEvents() {
    return VerbsShim.events(handle, events.address(), EVENTS, report.address());
  }

  /** See {@link VerbsEvent}. */
  int eventType(int index) {
    return events.getInt(index * EVENT_BYTES);
  }

  /** Tag of the connection that it is about, or -1. */
  int eventTag(int index) {
    return events.getInt(index * EVENT_BYTES + EVENT_TAG);
  }

  // -- the end

  /**
   * Closes what is registered and the device, whose connections are destroyed. When it returns,
   * nothing touches any memory. Idempotent; nothing else may be called afterwards.
   *
   * @throws TransportException if the device keeps something
   */
  void shutDown() {
    if (shutDown) {
      return;
    }
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
