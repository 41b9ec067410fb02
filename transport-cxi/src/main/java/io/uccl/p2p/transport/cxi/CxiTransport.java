package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.ChannelRole;
import io.uccl.p2p.spi.CompletionBuffer;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.PendingChannel;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportCapabilities;
import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import io.uccl.p2p.spi.nativelib.Errno;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * One endpoint of libfabric and the peers that it reaches. An endpoint is connectionless: a channel
 * is an address, and is ready when the endpoint knows it.
 */
final class CxiTransport implements Transport {

  /**
   * Longer operations are cut, so that one that crawls is told from one that is stuck: the network
   * says nothing of an operation before its end.
   */
  private static final long LONGEST_OPERATION = 256L << 20;

  /** How often a completion queue is asked that has nothing to wait for. */
  private static final long ASK_AGAIN_NANOS = TimeUnit.MICROSECONDS.toNanos(200);

  private final CxiEndpoint endpoint;
  private final TransportCapabilities capabilities;
  private final byte[] address;
  private final boolean waits;

  /** By the index that operations carry; null: free. */
  private final List<@Nullable CxiChannel> channels = new ArrayList<>();

  private final ArrayDeque<Integer> freeIndexes = new ArrayDeque<>();
  private final List<CxiMemory> memories = new ArrayList<>();
  private final ArrayDeque<CxiChannel> ready = new ArrayDeque<>();
  private final ArrayDeque<Failed> failed = new ArrayDeque<>();

  private final Object wakeupLock = new Object();
  private final int wakeup;
  private boolean wakeupClosed;
  private boolean closed;

  /** An operation that could not be posted. */
  private record Failed(long id, P2pException failure) {}

  CxiTransport(CxiEndpoint endpoint) {
    this.endpoint = endpoint;
    CxiOpening opening = endpoint.opening();
    this.capabilities =
        new TransportCapabilities(
            opening.refusesAlone() ? Refusal.PER_OPERATION : Refusal.BREAKS_CONNECTION,
            TransportCapabilities.TargetChecks.NIC_KEY,
            TransportCapabilities.Expiry.STAYS_IN_USE,
            opening.revokes(),
            Math.min(LONGEST_OPERATION, opening.longestOperation()));
    this.address = opening.endpointAddress();
    this.waits = opening.found(CxiOpening.WAITS);
    long fd = CxiShim.openWakeup();
    if (fd < 0) {
      endpoint.shutDown();
      throw new TransportUnavailableException(
          "no eventfd: " + Errno.describe((int) -fd),
          FailureDetail.remedy("Raise the limit of open files (ulimit -n)").withTransport("cxi"));
    }
    this.wakeup = (int) fd;
  }

  @Override
  public TransportCapabilities capabilities() {
    return capabilities;
  }

  // -- memory

  @Override
  public RegisteredMemory register(RegionName name, MemorySpan memory) {
    CxiMemory registered =
        new CxiMemory(
            this,
            endpoint,
            name,
            memory,
            endpoint.register(name, memory.address(), memory.length()));
    memories.add(registered);
    return registered;
  }

  void forget(CxiMemory memory) {
    memories.remove(memory);
  }

  // -- channels

  @Override
  public PendingChannel prepare(ChannelRole role) {
    return new Pending();
  }

  /** Both sides hand over their endpoint's address, and none needs the other's to make its own. */
  private final class Pending implements PendingChannel {

    @Override
    public byte[] parameters() {
      return address.clone();
    }

    @Override
    public Channel complete(byte[] remote) {
      long peer = endpoint.addPeer(remote);
      if (peer < 0) {
        throw new HandshakeException(
            "libfabric does not take the peer's address of " + remote.length + " bytes",
            endpoint
                .report()
                .detail("Both sides need the same UCCL_CXI_PROVIDER and kind of network"));
      }
      Integer free = freeIndexes.poll();
      int index = free == null ? channels.size() : free;
      CxiChannel channel = new CxiChannel(CxiTransport.this, index, peer);
      if (free == null) {
        channels.add(channel);
      } else {
        channels.set(index, channel);
      }
      ready.add(channel);
      return channel;
    }

    @Override
    public void abort() {
      // It holds nothing.
    }
  }

  /** A channel was closed: it goes when its last operation has come back. */
  void ended(CxiChannel channel) {
    ready.remove(channel);
    if (!channel.hasOutstanding()) {
      endpoint.removePeer(channel.peer());
      channels.set(channel.index(), null);
      freeIndexes.add(channel.index());
    }
  }

  // -- operations

  int post(CxiChannel channel, OpBuffer operations, int first, int count) {
    int inside = 0;
    while (inside < count && isInsideRegion(operations, first + inside)) {
      inside++;
    }
    if (inside == 0) {
      report(operations.id(first), outside());
      return 1;
    }
    return postChecked(channel, operations, first, inside);
  }

  /**
   * The NIC adds the offset to the region's first byte without looking at its sign, and knows the
   * region by its key alone; so what the descriptor says of the region is looked at here, as the
   * C++ engine does.
   */
  private static boolean isInsideRegion(OpBuffer operations, int index) {
    long base = operations.remoteOwn(index, CxiMemory.BASE);
    long regionLength = operations.remoteOwn(index, CxiMemory.LENGTH);
    long offset = operations.remoteAddress(index) - base;
    long length = operations.length(index);
    return base != 0
        && offset >= 0
        && regionLength > 0
        && length <= regionLength
        && offset <= regionLength - length;
  }

  private static RemoteAccessException outside() {
    return new RemoteAccessException(
        "the descriptor's range is outside the region that it names for cxi, or it names none",
        FailureDetail.remedy("Ask the peer for a descriptor of its cxi transport")
            .withTransport("cxi"));
  }

  private int postChecked(CxiChannel channel, OpBuffer operations, int first, int count) {
    long slots = operations.address() + (long) first * OpBuffer.SLOT_BYTES;
    long taken = endpoint.post(channel.peer(), channel.index(), slots, count);
    if (taken >= 0) {
      return (int) taken;
    }
    // The first one can never be posted: it is taken, and fails.
    report(operations.id(first), endpoint.report().ofOperation());
    return 1;
  }

  /** Reports an operation that the endpoint does not have with the next poll. */
  void report(long id, P2pException failure) {
    failed.add(new Failed(id, failure));
  }

  @Override
  public boolean poll(CompletionBuffer into) {
    boolean moved = false;
    for (CxiChannel channel = ready.poll(); channel != null; channel = ready.poll()) {
      into.ready(channel);
      moved = true;
    }
    while (!failed.isEmpty() && into.remaining() > 0) {
      Failed operation = failed.remove();
      into.failed(operation.id(), operation.failure());
      moved = true;
    }
    int read;
    do {
      read = read(into);
      moved |= read > 0;
    } while (read == CxiEndpoint.BATCH);
    return moved;
  }

  private int read(CompletionBuffer into) {
    if (into.remaining() == 0) {
      return 0;
    }
    long read = endpoint.poll(into.remaining());
    if (read < 0) {
      throw broken();
    }
    for (int i = 0; i < read; i++) {
      CxiChannel channel = channels.get(endpoint.completedChannel(i));
      if (channel == null) {
        throw new IllegalStateException("an operation came back whose channel was gone");
      }
      channel.completed();
      complete(channel, i, into);
      if (channel.isClosed()) {
        ended(channel);
      }
    }
    return (int) read;
  }

  private void complete(CxiChannel channel, int index, CompletionBuffer into) {
    boolean well = endpoint.completedWell(index);
    if (!well && channel.failure() == null) {
      P2pException cause = endpoint.report().ofOperation();
      if (capabilities.refusal() == Refusal.BREAKS_CONNECTION
          || endpoint.report().breaksConnection()) {
        channel.fail(cause);
        into.failed(channel, cause);
      } else {
        into.failed(endpoint.completedId(index), cause);
        return;
      }
    }
    P2pException failure = channel.failure();
    if (failure == null) {
      into.done(endpoint.completedId(index));
    } else {
      into.failed(endpoint.completedId(index), failure);
    }
  }

  private TransportException broken() {
    return endpoint.report().failure("the endpoint's completion queue failed", "Open a new engine");
  }

  @Override
  public void block(long nanos) {
    if (ready.isEmpty() && failed.isEmpty()) {
      endpoint.await(wakeup, waits ? nanos : Math.min(nanos, ASK_AGAIN_NANOS));
    }
  }

  @Override
  public void wakeup() {
    synchronized (wakeupLock) {
      if (!wakeupClosed) {
        CxiShim.wake(wakeup);
      }
    }
  }

  // -- the end

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    List.copyOf(memories).forEach(CxiMemory::close);
    synchronized (wakeupLock) {
      wakeupClosed = true;
      CxiShim.closeWakeup(wakeup);
    }
  }

  @Override
  public void release() {
    endpoint.shutDown();
  }
}
