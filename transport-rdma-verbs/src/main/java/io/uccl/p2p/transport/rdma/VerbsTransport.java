package io.uccl.p2p.transport.rdma;

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
import io.uccl.p2p.spi.nativelib.Errno;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A NIC and the peers that its queue pairs are connected to. What the peer's NIC refuses breaks the
 * connection; a NIC that fails takes all of them with it, and the transport with them.
 */
final class VerbsTransport implements Transport {

  /**
   * Longer operations are cut, so that one that crawls is told from one that is stuck: the device
   * says nothing of an operation before its end.
   */
  private static final long LONGEST_OPERATION = 256L << 20;

  /** Of each connection. */
  private static final int QUEUE_PAIRS = 1;

  /** Packet numbers have as many. */
  private static final int PACKET_BITS = 24;

  /** While it is never idle, events are looked for once in so many polls. */
  private static final int POLLS_PER_LOOK_AT_EVENTS = 1024;

  private final VerbsNic nic;
  private final OffHeap nicHandles = new OffHeap(Long.BYTES);
  private final int window;
  private final TransportCapabilities capabilities;
  private final SecureRandom random = new SecureRandom();

  /** By the tag of their queue pairs; null: free, or of a handshake. */
  private final List<@Nullable VerbsChannel> channels = new ArrayList<>();

  private final ArrayDeque<Integer> freeTags = new ArrayDeque<>();
  private final Set<VerbsMemory> memories = new LinkedHashSet<>();
  private final ArrayDeque<VerbsChannel> ready = new ArrayDeque<>();

  /** Operations that the device does not have any more, or never had. */
  private final ArrayDeque<Ended> ended = new ArrayDeque<>();

  /** Places of registrations; the engine's thread for releases frees them. Guarded by itself. */
  private final BitSet places = new BitSet();

  private int pollsSinceEvents;
  private boolean hasEvents;

  private final Object wakeupLock = new Object();
  private final int wakeup;
  private boolean wakeupClosed;
  private volatile boolean closed;

  /** An operation that was taken and ended without a completion. */
  private record Ended(long id, VerbsChannel channel, P2pException failure) {}

  /**
   * Opens the first NIC.
   *
   * @param openings 1 and more
   * @param window operations that the engine hands to a channel at most
   * @throws TransportUnavailableException if it cannot be opened
   */
  VerbsTransport(List<VerbsOpening> openings, int window) {
    this.nic = VerbsNic.open(openings.get(0));
    this.window = window;
    nicHandles.putLong(0, nic.handle());
    this.capabilities =
        new TransportCapabilities(
            TransportCapabilities.Refusal.BREAKS_CONNECTION,
            TransportCapabilities.TargetChecks.NIC_KEY,
            TransportCapabilities.Expiry.CLOSES_CHANNEL,
            true,
            Math.min(LONGEST_OPERATION, nic.found().longestOperation()));
    long fd = VerbsShim.openWakeup();
    if (fd < 0) {
      nic.shutDown();
      throw new TransportUnavailableException(
          "no eventfd: " + Errno.describe((int) -fd),
          FailureDetail.remedy("Raise the limit of open files (ulimit -n)").withTransport("rdma"));
    }
    this.wakeup = (int) fd;
  }

  @Override
  public TransportCapabilities capabilities() {
    return capabilities;
  }

  // -- memory

  /** Whether the device can, and why not, it says at the registration. */
  @Override
  public boolean takes(MemoryKind kind) {
    return true;
  }

  @Override
  public RegisteredMemory register(RegionName name, MemorySpan memory) {
    int place;
    synchronized (places) {
      place = places.nextClearBit(0);
      places.set(place);
    }
    try {
      VerbsMemory registered = new VerbsMemory(this, nic, place, name, memory);
      memories.add(registered);
      return registered;
    } catch (P2pException e) {
      free(place);
      throw e;
    }
  }

  void forget(VerbsMemory memory) {
    memories.remove(memory);
  }

  /** Any thread. */
  boolean isClosed() {
    return closed;
  }

  /** A registration is gone; any thread. */
  void free(int place) {
    synchronized (places) {
      places.clear(place);
    }
  }

  // -- channels

  @Override
  public PendingChannel prepare(ChannelRole role) {
    if (nic.hasFailed()) {
      throw new TransportException(
          "the device has failed",
          FailureDetail.remedy("Close the engine and open a new one").withTransport("rdma"));
    }
    return new Pending(createQueuePairs());
  }

  private List<VerbsQueuePair> createQueuePairs() {
    List<VerbsQueuePair> pairs = new ArrayList<>();
    try {
      while (pairs.size() < QUEUE_PAIRS) {
        pairs.add(createQueuePair());
      }
      return List.copyOf(pairs);
    } catch (TransportException e) {
      pairs.forEach(this::destroy);
      throw e;
    }
  }

  private VerbsQueuePair createQueuePair() {
    Integer free = freeTags.poll();
    int tag = free == null ? channels.size() : free;
    if (free == null) {
      channels.add(null);
    }
    try {
      return nic.createQueuePair(tag, window, random.nextInt(1 << PACKET_BITS));
    } catch (TransportException e) {
      freeTags.add(tag);
      throw e;
    }
  }

  /** One that has nothing outstanding; or what is, has been reported. */
  private void destroy(VerbsQueuePair pair) {
    // A device that keeps one has failed, and everything of it ends with the transport.
    if (pair.destroy(nic.hasFailed())) {
      channels.set(pair.tag(), null);
      freeTags.add(pair.tag());
    }
  }

  /** Both sides make their queue pairs, and tell them; neither needs the other's for that. */
  private final class Pending implements PendingChannel {

    private final List<VerbsQueuePair> queuePairs;
    private boolean done;

    Pending(List<VerbsQueuePair> queuePairs) {
      this.queuePairs = queuePairs;
    }

    @Override
    public byte[] parameters() {
      return new VerbsParameters(
              List.of(nic.parameters()),
              queuePairs.stream()
                  .map(pair -> new VerbsParameters.QueuePair(0, pair.number(), pair.firstPacket()))
                  .toList())
          .encode();
    }

    @Override
    public Channel complete(byte[] remote) {
      try {
        connect(VerbsParameters.decode(remote));
      } catch (HandshakeException e) {
        abort();
        throw e;
      }
      done = true;
      VerbsChannel channel = new VerbsChannel(VerbsTransport.this, queuePairs);
      queuePairs.forEach(pair -> channels.set(pair.tag(), channel));
      ready.add(channel);
      return channel;
    }

    private void connect(VerbsParameters theirs) {
      if (nic.hasFailed()) {
        throw new HandshakeException(
            "the device failed during the handshake",
            FailureDetail.remedy("Close the engine and open a new one").withTransport("rdma"));
      }
      if (theirs.queuePairs().size() != queuePairs.size()) {
        throw new HandshakeException(
            "the peer has "
                + theirs.queuePairs().size()
                + " queue pairs for the connection, this side has "
                + queuePairs.size(),
            FailureDetail.remedy("Use the same settings on both sides").withTransport("rdma"));
      }
      for (int i = 0; i < queuePairs.size(); i++) {
        VerbsParameters.QueuePair theirPair = theirs.queuePairs().get(i);
        VerbsParameters.Nic theirNic = theirs.nics().get(theirPair.nic());
        if (theirNic.isEthernet() != nic.found().isEthernet()) {
          throw new HandshakeException(
              "one side is on InfiniBand, the other on Ethernet",
              FailureDetail.remedy("Choose devices of one network: UCCL_P2P_RDMA_DEV")
                  .withTransport("rdma"));
        }
        queuePairs.get(i).connect(theirNic, theirPair);
      }
    }

    @Override
    public void abort() {
      if (!done) {
        done = true;
        queuePairs.forEach(VerbsTransport.this::destroy);
      }
    }
  }

  /** A channel was closed: it goes when its last operation has come back. */
  void retire(VerbsChannel channel) {
    ready.remove(channel);
    // An operation that was posted after the close comes back to a channel that has gone.
    if (!channel.hasOutstanding() && channels.get(channel.queuePairs().get(0).tag()) == channel) {
      channel.queuePairs().forEach(this::destroy);
    }
  }

  // -- operations

  int post(VerbsChannel channel, OpBuffer operations, int first, int count) {
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
   * The peer's NIC would refuse it as well, and break the connection; what the descriptor says of
   * the region is looked at here, so that a mistake costs one operation alone.
   */
  private static boolean isInsideRegion(OpBuffer operations, int index) {
    long base = operations.remoteOwn(index, VerbsMemory.BASE);
    long regionLength = operations.remoteOwn(index, VerbsMemory.LENGTH);
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
        "the descriptor's range is outside the region that it names for rdma, or it names none",
        FailureDetail.remedy("Ask the peer for a descriptor of its rdma transport")
            .withTransport("rdma"));
  }

  private int postChecked(VerbsChannel channel, OpBuffer operations, int first, int count) {
    long slots = operations.address(NativeMemory::address) + (long) first * OpBuffer.SLOT_BYTES;
    VerbsQueuePair pair = channel.queuePairs().get(0);
    long taken = pair.post(slots, count);
    if (taken >= 0) {
      return (int) taken;
    }
    // The first one can never be posted: it is taken, and fails.
    return fail(
        channel,
        operations.id(first),
        pair.report()
            .failure("the device does not take the operation", "See the device's own limits"));
  }

  /** Takes one operation, and reports it with the next poll. */
  private int fail(VerbsChannel channel, long id, P2pException failure) {
    ended.add(new Ended(id, channel, failure));
    return 1;
  }

  @Override
  public boolean poll(CompletionBuffer into) {
    boolean moved = false;
    if (hasEvents || ++pollsSinceEvents == POLLS_PER_LOOK_AT_EVENTS) {
      moved = readEvents(into);
    }
    for (VerbsChannel channel = ready.poll(); channel != null; channel = ready.poll()) {
      into.ready(channel);
      moved = true;
    }
    while (!ended.isEmpty() && into.remaining() > 0) {
      report(ended.remove(), into);
      moved = true;
    }
    int read;
    do {
      read = nic.hasFailed() ? 0 : read(into);
      moved |= read != 0;
    } while (read == VerbsNic.BATCH);
    return moved;
  }

  private void report(Ended operation, CompletionBuffer into) {
    into.failed(operation.id(), operation.failure());
    cameBack(operation.channel());
  }

  private void cameBack(VerbsChannel channel) {
    channel.completed();
    if (channel.isClosed()) {
      retire(channel);
    }
  }

  /** How many were read, or -1 if the device has failed. */
  private int read(CompletionBuffer into) {
    if (into.remaining() == 0) {
      return 0;
    }
    long read = nic.poll(into.remaining());
    if (read < 0) {
      nicFailed(
          nic.report().failure("the device failed", "Close the engine and open a new one"), into);
      return -1;
    }
    for (int i = 0; i < read; i++) {
      VerbsChannel channel = channelOf(nic.completedTag(i));
      complete(channel, i, into);
      cameBack(channel);
    }
    return (int) read;
  }

  private VerbsChannel channelOf(int tag) {
    VerbsChannel channel = channels.get(tag);
    if (channel == null) {
      throw new IllegalStateException("an operation came back whose channel was gone");
    }
    return channel;
  }

  private void complete(VerbsChannel channel, int index, CompletionBuffer into) {
    int status = nic.completedStatus(index);
    if (status == VerbsStatus.FLUSHED && channel.failure() == null) {
      // No operation of this side broke the queue pair; an event may say what did.
      readEvents(into);
    }
    if (status != VerbsStatus.SUCCESS && channel.failure() == null) {
      channelFailed(channel, VerbsStatus.failure(status, nic.completedVendor(index)), into);
    }
    P2pException failure = channel.failure();
    if (failure == null) {
      into.done(nic.completedId(index));
    } else {
      into.failed(nic.completedId(index), failure);
    }
  }

  /** Its operations come back with the cause, which is the first one. */
  private void channelFailed(VerbsChannel channel, P2pException cause, CompletionBuffer into) {
    ready.remove(channel);
    channel.fail(cause);
    into.failed(channel, cause);
    channel.breakConnection();
  }

  // -- what happens to the device

  /** Returns true if there were any. */
  private boolean readEvents(CompletionBuffer into) {
    hasEvents = false;
    pollsSinceEvents = 0;
    if (nic.hasFailed()) {
      return false;
    }
    long read = nic.readEvents((type, tag) -> event(type, tag, into));
    if (read < 0) {
      nicFailed(
          nic.report()
              .failure("the device's events cannot be read", "Close the engine and open a new one"),
          into);
    }
    return read != 0;
  }

  private void event(int type, int tag, CompletionBuffer into) {
    P2pException ofDevice = VerbsEvent.deviceFailure(type);
    if (ofDevice != null) {
      nicFailed(ofDevice, into);
      return;
    }
    P2pException ofPort = VerbsEvent.portFailure(type);
    if (ofPort != null) {
      channelsFailed(ofPort, into);
    }
    P2pException ofConnection = VerbsEvent.connectionFailure(type);
    VerbsChannel channel = tag < 0 ? null : channels.get(tag);
    if (ofConnection != null && channel != null && channel.failure() == null) {
      channelFailed(channel, ofConnection, into);
    }
  }

  private void channelsFailed(P2pException cause, CompletionBuffer into) {
    // A channel of several queue pairs is there several times.
    for (VerbsChannel channel : new LinkedHashSet<>(channels)) {
      if (channel != null && channel.failure() == null) {
        channelFailed(channel, cause, into);
      }
    }
  }

  /**
   * No completion will come any more. Once its queue pairs are destroyed, nothing touches the
   * memory of what was under way.
   */
  private void nicFailed(P2pException cause, CompletionBuffer into) {
    if (nic.hasFailed()) {
      return;
    }
    channelsFailed(cause, into);
    nic.fail();
    nic.forEachOutstanding(
        (id, tag) -> {
          VerbsChannel channel = channelOf(tag);
          P2pException failure = channel.failure();
          ended.add(new Ended(id, channel, failure == null ? cause : failure));
        });
    for (VerbsChannel channel : new LinkedHashSet<>(channels)) {
      if (channel != null && !isDestroyed(channel)) {
        // The device may still touch their memory, so they are never reported.
        ended.removeIf(operation -> operation.channel() == channel);
      }
    }
  }

  private static boolean isDestroyed(VerbsChannel channel) {
    boolean all = true;
    for (VerbsQueuePair pair : channel.queuePairs()) {
      all &= pair.destroy(true);
    }
    return all;
  }

  @Override
  public void block(long nanos) {
    if (ready.isEmpty() && ended.isEmpty() && !hasEvents) {
      int nics = nic.hasFailed() ? 0 : 1;
      hasEvents = VerbsShim.await(nicHandles.address(), nics, wakeup, nanos) > 0;
    }
  }

  @Override
  public void wakeup() {
    synchronized (wakeupLock) {
      if (!wakeupClosed) {
        VerbsShim.wake(wakeup);
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
    for (VerbsChannel channel : new LinkedHashSet<>(channels)) {
      if (channel != null && !nic.hasFailed()) {
        channel.breakConnection();
      }
    }
    List.copyOf(memories).forEach(VerbsMemory::close);
    synchronized (wakeupLock) {
      wakeupClosed = true;
      VerbsShim.closeWakeup(wakeup);
    }
  }

  @Override
  public void release() {
    nic.shutDown();
  }
}
