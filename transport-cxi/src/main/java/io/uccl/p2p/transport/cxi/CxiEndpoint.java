package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.MemoryKind;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.nativelib.CudaMemory;
import io.uccl.p2p.spi.nativelib.Errno;
import io.uccl.p2p.spi.nativelib.OffHeap;
import java.lang.ref.Reference;
import java.security.SecureRandom;
import java.util.BitSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * One libfabric endpoint with its domain, completion queue and address vector, and the
 * registrations that are bound to it.
 *
 * <p>Threads: the transport's owner, and the engine's thread for releases. They meet only where a
 * registration is released while the endpoint is in use. With the threading model {@code safe}
 * libfabric itself keeps them apart; with any other a lock does (fi_domain(3)).
 */
final class CxiEndpoint {

  /** Completions read in one call. */
  static final int BATCH = 256;

  /**
   * Smaller keys are "optimized" ones on cxi: they do not notice that a registration was closed.
   */
  private static final long LEAST_KEY = 100;

  private static final int KEY_ATTEMPTS = 32;

  private static final int REMOTE_READ = 1;
  private static final int REMOTE_WRITE = 2;
  private static final int HOST_MEMORY = 0;
  private static final int CUDA_MEMORY = 1;
  private static final int NO_DMABUF = -1;

  private static final int COMPLETION_BYTES = 16;
  private static final int CHANNEL = 8;
  private static final int ERROR = 12;

  /**
   * How long operations under way are given to end by themselves when the endpoint is shut down.
   */
  private static final long DRAIN_NANOS = TimeUnit.SECONDS.toNanos(3);

  private static final long DRAIN_STEP_NANOS = TimeUnit.MILLISECONDS.toNanos(1);
  private static final int NO_WAKEUP = -1;
  private static final long NO_ENDPOINT = 0;

  private final CxiFound found;
  private final long handle;
  private final @Nullable ReentrantLock serial;
  private final SecureRandom random = new SecureRandom();

  /** Of the owner's calls; what else calls has a report of its own. */
  private final CxiReport report = new CxiReport();

  private final OffHeap completions = new OffHeap(BATCH * COMPLETION_BYTES);
  private final OffHeap chosen = new OffHeap(Long.BYTES);

  /** Places of registrations that are not closed. Guarded by itself. */
  private final BitSet registrations = new BitSet();

  /** Of closing registrations. Guarded by {@link #registrations}. */
  private final CxiReport closing = new CxiReport();

  private volatile boolean failed;
  private boolean shutDown;

  private CxiEndpoint(CxiOpening opening, CxiFound found, long handle) {
    this.found = found;
    this.handle = handle;
    this.serial = opening.isSerial() ? new ReentrantLock() : null;
  }

  /**
   * Opens and enables one.
   *
   * @throws TransportUnavailableException if libfabric refuses
   */
  static CxiEndpoint open(CxiOpening opening) {
    CxiFound found = new CxiFound();
    CxiReport report = new CxiReport();
    long handle = CxiShim.open(opening.address(), found.address(), report.address());
    if (handle < 0) {
      throw new TransportUnavailableException(
          "libfabric opens no endpoint of provider "
              + opening.provider()
              + (opening.domain().isEmpty() ? "" : ", domain " + opening.domain()),
          report.detail(CxiRemedies.ofOpening(opening, report)));
    }
    return new CxiEndpoint(opening, found, handle);
  }

  CxiFound found() {
    return found;
  }

  /** Why the last call of the owner failed. */
  CxiReport report() {
    return report;
  }

  // -- registrations

  /**
   * Registers memory at a free place, by which operations name it.
   *
   * @return the key that peers name it by
   * @throws RegistrationException if libfabric refuses
   */
  long register(int place, RegionAccess access, MemorySpan memory) {
    long result;
    lock();
    try {
      result = registerByAddress(place, access, memory);
    } finally {
      unlock();
    }
    if (result < 0) {
      throw new RegistrationException(
          "libfabric registers no memory of "
              + memory.length()
              + " bytes"
              + (memory.kind() == MemoryKind.HOST ? "" : " of GPU " + memory.device()),
          report.detail(CxiRemedies.ofRegistration(report, memory.kind())));
    }
    synchronized (registrations) {
      registrations.set(place);
    }
    return chosen.getLong(0);
  }

  private long registerByAddress(int place, RegionAccess access, MemorySpan memory) {
    long result = register(place, access, memory, NO_DMABUF);
    if (memory.kind() == MemoryKind.HOST
        || (result != -Errno.EOPNOTSUPP && result != -Errno.ENOSYS)) {
      return result;
    }
    // A provider that knows nothing of CUDA may still take what the kernel shares.
    int dmabuf = CudaMemory.openDmabuf(memory.address(), memory.length());
    if (dmabuf < 0) {
      return result;
    }
    try {
      return register(place, access, memory, dmabuf);
    } finally {
      CudaMemory.closeDmabuf(dmabuf);
    }
  }

  private long register(int place, RegionAccess access, MemorySpan memory, int dmabuf) {
    int peers = (access.remoteRead() ? REMOTE_READ : 0) | (access.remoteWrite() ? REMOTE_WRITE : 0);
    int kind = memory.kind() == MemoryKind.HOST ? HOST_MEMORY : CUDA_MEMORY;
    long result = -CxiReport.FI_ENOKEY;
    for (int i = 0; i < KEY_ATTEMPTS && result == -CxiReport.FI_ENOKEY; i++) {
      result =
          CxiShim.register(
              handle,
              place,
              memory.address(),
              memory.length(),
              peers,
              wantedKey(),
              kind,
              memory.device(),
              dmabuf,
              chosen.address(),
              report.address());
    }
    return result;
  }

  /** A random key of the domain's size; the provider looks at it only if it does not choose. */
  private long wantedKey() {
    int bits = Byte.SIZE * found.keySize();
    long mask = bits == Long.SIZE ? -1 : (1L << bits) - 1;
    long key;
    do {
      key = random.nextLong() & mask;
    } while (Long.compareUnsigned(key, LEAST_KEY) < 0);
    return key;
  }

  /**
   * Closes the registration at a place. One of an endpoint that has failed is closed with it.
   *
   * @return false if operations of this process use it
   * @throws TransportException if libfabric keeps it
   */
  boolean close(int place) {
    lock();
    try {
      // Whoever shuts the endpoint down meanwhile waits here, and finds the place empty.
      synchronized (registrations) {
        if (failed || !registrations.get(place)) {
          return true;
        }
        long result = CxiShim.closeMemory(handle, place, false, closing.address());
        if (result == -Errno.EINPROGRESS) {
          return false;
        }
        if (result < 0) {
          throw closing.failure(
              "libfabric keeps the registration, so peers may still reach the memory",
              "Leave the memory as it is, and close the region again, or the engine");
        }
        registrations.clear(place);
        return true;
      }
    } finally {
      unlock();
    }
  }

  // -- peers and operations

  /** The peer's number, or {@code -errno}. */
  long addPeer(byte[] address) {
    // Longer than any address that libfabric has: the shim wants no less than its own.
    OffHeap bytes = new OffHeap(Math.max(Long.BYTES, address.length));
    bytes.putBytes(0, address);
    lock();
    try {
      return CxiShim.addPeer(handle, bytes.address(), address.length, report.address());
    } finally {
      unlock();
      // What the shim reads by its address must not be collected before.
      Reference.reachabilityFence(bytes);
    }
  }

  void removePeer(long peer) {
    lock();
    try {
      // An address that stays costs a few bytes, and there is nobody who could do better.
      CxiShim.removePeer(handle, peer, report.address());
    } finally {
      unlock();
    }
  }

  /** How many were taken, or {@code -errno} if the first one can never be posted. */
  long post(long peer, int channel, long slots, int count) {
    lock();
    try {
      return CxiShim.post(handle, peer, channel, slots, count, report.address());
    } finally {
      unlock();
    }
  }

  /** Reads completions; how many, one that failed comes alone, or {@code -errno} of the queue. */
  long poll(int count) {
    lock();
    try {
      return CxiShim.poll(handle, completions.address(), Math.min(count, BATCH), report.address());
    } finally {
      unlock();
    }
  }

  long completedId(int index) {
    return completions.getLong(index * COMPLETION_BYTES);
  }

  int completedChannel(int index) {
    return completions.getInt(index * COMPLETION_BYTES + CHANNEL);
  }

  boolean completedWell(int index) {
    return completions.getInt(index * COMPLETION_BYTES + ERROR) == 0;
  }

  /** Blocks until something can be polled, the wake-up was given or the time is over. */
  void await(int wakeup, long nanos) {
    if (failed) {
      CxiShim.await(NO_ENDPOINT, wakeup, nanos);
      return;
    }
    // Not under the lock: all that it calls of libfabric is fi_trywait, and the rest is ppoll(2).
    CxiShim.await(handle, wakeup, nanos);
  }

  // -- the end

  /** The endpoint works no more: from now on only {@link #shutDown} may be called. */
  void fail() {
    failed = true;
  }

  boolean hasFailed() {
    return failed;
  }

  /** What {@link #forEachOutstanding} calls. */
  interface Outstanding {
    void operation(long id, int channel);
  }

  /** Calls {@code each} with every operation that libfabric has. */
  void forEachOutstanding(Outstanding each) {
    int most = found.operations();
    OffHeap outstanding = new OffHeap(most * COMPLETION_BYTES);
    long count = CxiShim.outstanding(handle, outstanding.address(), most);
    for (int i = 0; i < count; i++) {
      int at = i * COMPLETION_BYTES;
      each.operation(outstanding.getLong(at), outstanding.getInt(at + CHANNEL));
    }
  }

  /**
   * Ends everything: waits for operations under way, closes what is registered and the endpoint.
   * Takes seconds if operations do not end. Idempotent; nothing else may be called afterwards.
   *
   * @throws TransportException if libfabric keeps something
   */
  synchronized void shutDown() {
    if (shutDown) {
      return;
    }
    CxiReport why = new CxiReport();
    drain(why);
    long result = CxiShim.close(handle, why.address());
    if (result < 0) {
      throw why.failure("libfabric does not close the endpoint", "End the process to free it");
    }
    shutDown = true;
  }

  private void drain(CxiReport why) {
    long deadline = System.nanoTime() + DRAIN_NANOS;
    while (!closeRegistrations(false)
        && deadline - System.nanoTime() > 0
        && CxiShim.poll(handle, completions.address(), BATCH, why.address()) >= 0) {
      CxiShim.await(handle, NO_WAKEUP, DRAIN_STEP_NANOS);
    }
    // What is left ends with the endpoint, which is closed next.
    closeRegistrations(true);
  }

  /** Returns true if none is left. */
  private boolean closeRegistrations(boolean inUseToo) {
    synchronized (registrations) {
      for (int place = registrations.nextSetBit(0);
          place >= 0;
          place = registrations.nextSetBit(place + 1)) {
        long result = CxiShim.closeMemory(handle, place, inUseToo, closing.address());
        if (result != -Errno.EINPROGRESS && result != -Errno.EBUSY) {
          registrations.clear(place);
        }
      }
      return registrations.isEmpty();
    }
  }

  private void lock() {
    if (serial != null) {
      serial.lock();
    }
  }

  private void unlock() {
    if (serial != null) {
      serial.unlock();
    }
  }
}
