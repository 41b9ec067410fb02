package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.MemoryKind;
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
import io.uccl.p2p.spi.nativelib.NativeMemory;
import io.uccl.p2p.spi.nativelib.Places;
import io.uccl.p2p.spi.nativelib.WakeUp;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * An endpoint of libfabric and the peers that it reaches. An endpoint is connectionless: a channel
 * is an address, and is ready when the endpoint knows it. An endpoint that fails takes all its
 * channels with it, and the next connection opens a fresh one.
 */
final class CxiTransport implements Transport {

  /**
   * Longer operations are cut, so that one that crawls is told from one that is stuck: the network
   * says nothing of an operation before its end.
   */
  private static final long LONGEST_OPERATION = 256L << 20;

  /** How often a completion queue is asked that has nothing to wait for. */
  private static final long ASK_AGAIN_NANOS = TimeUnit.MICROSECONDS.toNanos(200);

  private final CxiEndpoints endpoints;
  private final TransportCapabilities capabilities;

  /**
   * The one in use; after a failure, the failed one until the next connection asks for a fresh one.
   */
  private CxiEndpoint endpoint;

  /** Why the endpoint in use works no more, until the next poll has told of it. */
  private @Nullable P2pException failing;

  /** By the index that operations carry; null: free. */
  private final List<@Nullable CxiChannel> channels = new ArrayList<>();

  private final ArrayDeque<Integer> freeIndexes = new ArrayDeque<>();
  private final Set<CxiMemory> memories = new LinkedHashSet<>();
  private final ArrayDeque<CxiChannel> ready = new ArrayDeque<>();

  /** Operations that libfabric does not have any more, or never had. */
  private final Queue<Ended> ended = new ConcurrentLinkedQueue<>();

  /** Places of registrations; the reaper frees them. */
  private final Places places = new Places();

  private final WakeUp wakeUp;
  private volatile boolean closed;

  /** An operation that was taken and ended without a completion. */
  private record Ended(long id, CxiChannel channel, P2pException failure) {}

  CxiTransport(CxiEndpoints endpoints) {
    this.endpoints = endpoints;
    this.endpoint = endpoints.open();
    CxiFound found = endpoint.found();
    this.capabilities =
        new TransportCapabilities(
            endpoints.refuseAlone() ? Refusal.PER_OPERATION : Refusal.BREAKS_CONNECTION,
            TransportCapabilities.TargetChecks.NIC_KEY,
            TransportCapabilities.Expiry.STAYS_IN_USE,
            found.revokes(),
            Math.min(LONGEST_OPERATION, found.longestOperation()));
    this.wakeUp = openWakeUp();
  }

  private WakeUp openWakeUp() {
    try {
      return new WakeUp("cxi");
    } catch (TransportUnavailableException e) {
      endpoint.shutDown();
      throw e;
    }
  }

  @Override
  public TransportCapabilities capabilities() {
    return capabilities;
  }

  // -- memory

  /** Whether the provider does, and why not, its endpoint says at the registration. */
  @Override
  public boolean takes(MemoryKind kind) {
    return true;
  }

  @Override
  public RegisteredMemory register(RegionName name, MemorySpan memory) {
    ensureEndpoint();
    int place = places.take();
    try {
      CxiMemory registered = new CxiMemory(this, endpoint, place, name, memory);
      memories.add(registered);
      return registered;
    } catch (P2pException e) {
      free(place);
      throw e;
    }
  }

  void forget(CxiMemory memory) {
    memories.remove(memory);
  }

  /** Any thread. */
  boolean isClosed() {
    return closed;
  }

  /** A registration is gone; any thread. */
  void free(int place) {
    places.free(place);
  }

  /** Opens a fresh endpoint if the last one has failed, and moves what is registered there. */
  private void ensureEndpoint() {
    if (!endpoint.hasFailed()) {
      return;
    }
    CxiEndpoint fresh;
    try {
      fresh = endpoints.open();
    } catch (TransportUnavailableException e) {
      throw new TransportException(
          "the endpoint has failed, and there is no fresh one", e.detail(), e);
    }
    try {
      memories.forEach(memory -> memory.moveTo(fresh));
    } catch (P2pException e) {
      fresh.shutDown();
      throw new TransportException(
          "the endpoint has failed, and not all memory could move to a fresh one", e.detail(), e);
    }
    endpoint = fresh;
  }

  // -- channels

  @Override
  public PendingChannel prepare(ChannelRole role) {
    ensureEndpoint();
    return new Pending(endpoint);
  }

  /** Both sides hand over their endpoint's address, and none needs the other's to make its own. */
  private final class Pending implements PendingChannel {

    private final CxiEndpoint endpoint;

    Pending(CxiEndpoint endpoint) {
      this.endpoint = endpoint;
    }

    @Override
    public byte[] parameters() {
      return endpoint.found().endpointAddress();
    }

    @Override
    public Channel complete(byte[] remote) {
      if (endpoint.hasFailed()) {
        throw new HandshakeException(
            "the endpoint failed during the handshake", FailureDetail.remedy("Connect again"));
      }
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
      CxiChannel channel = new CxiChannel(CxiTransport.this, endpoint, index, peer);
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
  void retire(CxiChannel channel) {
    ready.remove(channel);
    // An operation that was posted after the close comes back to a channel that has gone.
    if (!channel.hasOutstanding() && channels.get(channel.index()) == channel) {
      if (!channel.endpoint().hasFailed()) {
        channel.endpoint().removePeer(channel.peer());
      }
      channels.set(channel.index(), null);
      freeIndexes.add(channel.index());
    }
  }

  // -- operations

  int post(CxiChannel channel, OpBuffer operations, int first, int count) {
    P2pException failure = channel.failure();
    if (failure != null) {
      // The engine has not heard of the failure yet.
      return fail(channel, operations.id(first), failure);
    }
    int inside = 0;
    while (inside < count && isInsideRegion(operations, first + inside)) {
      inside++;
    }
    if (inside == 0) {
      return fail(channel, operations.id(first), outside());
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
    long slots = operations.address(NativeMemory::address) + (long) first * OpBuffer.SLOT_BYTES;
    long taken = channel.endpoint().post(channel.peer(), channel.index(), slots, count);
    if (taken >= 0) {
      return (int) taken;
    }
    // The first one can never be posted: it is taken, and fails.
    CxiReport report = channel.endpoint().report();
    if (report.isOfEndpoint() && failing == null) {
      failing = endpointFailure(report);
    }
    return fail(channel, operations.id(first), failing == null ? report.ofPost() : failing);
  }

  /** Takes one operation, and reports it with the next poll. */
  private int fail(CxiChannel channel, long id, P2pException failure) {
    ended.add(new Ended(id, channel, failure));
    return 1;
  }

  @Override
  public boolean poll(CompletionBuffer into) {
    boolean moved = failing != null;
    if (failing != null) {
      endpointFailed(failing, into);
    }
    for (CxiChannel channel = ready.poll(); channel != null; channel = ready.poll()) {
      into.ready(channel);
      moved = true;
    }
    while (!ended.isEmpty() && into.remaining() > 0) {
      report(ended.remove(), into);
      moved = true;
    }
    int read;
    do {
      read = endpoint.hasFailed() ? 0 : read(into);
      moved |= read != 0;
    } while (read == CxiEndpoint.BATCH);
    return moved;
  }

  private void report(Ended operation, CompletionBuffer into) {
    into.failed(operation.id(), operation.failure());
    cameBack(operation.channel());
  }

  private void cameBack(CxiChannel channel) {
    channel.completed();
    if (channel.isClosed()) {
      retire(channel);
    }
  }

  /** How many were read, or -1 if the endpoint has failed. */
  private int read(CompletionBuffer into) {
    if (into.remaining() == 0) {
      return 0;
    }
    long read = endpoint.poll(into.remaining());
    if (read < 0) {
      endpointFailed(endpointFailure(endpoint.report()), into);
      return -1;
    }
    for (int i = 0; i < read; i++) {
      CxiChannel channel = channelAt(endpoint.completedChannel(i));
      complete(channel, i, into);
      cameBack(channel);
    }
    return (int) read;
  }

  private CxiChannel channelAt(int index) {
    CxiChannel channel = channels.get(index);
    if (channel == null) {
      throw new IllegalStateException("an operation came back whose channel was gone");
    }
    return channel;
  }

  private static P2pException endpointFailure(CxiReport report) {
    return report.failure("the endpoint of the network failed", "Connect again");
  }

  /**
   * All channels fail with the first cause. The network may still touch the memory of what is under
   * way: it is reported once the endpoint is closed, which takes seconds, elsewhere.
   */
  private void endpointFailed(P2pException cause, CompletionBuffer into) {
    CxiEndpoint dead = endpoint;
    failing = null;
    dead.fail();
    for (CxiChannel channel : channels) {
      if (channel != null && channel.endpoint() == dead && channel.failure() == null) {
        ready.remove(channel);
        channel.fail(cause);
        into.failed(channel, cause);
      }
    }
    List<Ended> outstanding = new ArrayList<>();
    dead.forEachOutstanding(
        (id, index) -> {
          CxiChannel channel = channelAt(index);
          P2pException failure = channel.failure();
          outstanding.add(new Ended(id, channel, failure == null ? cause : failure));
        });
    endpoints.close(
        dead,
        () -> {
          ended.addAll(outstanding);
          wakeup();
        });
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

  @Override
  public void block(long nanos) {
    if (ready.isEmpty() && ended.isEmpty() && failing == null) {
      boolean waits = endpoint.hasFailed() || endpoint.found().waits();
      endpoint.await(wakeUp.descriptor(), waits ? nanos : Math.min(nanos, ASK_AGAIN_NANOS));
    }
  }

  @Override
  public void wakeup() {
    wakeUp.give();
  }

  // -- the end

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    List.copyOf(memories).forEach(CxiMemory::close);
    wakeUp.close();
  }

  @Override
  public void release() {
    endpoint.shutDown();
    endpoints.awaitClosed();
  }
}
