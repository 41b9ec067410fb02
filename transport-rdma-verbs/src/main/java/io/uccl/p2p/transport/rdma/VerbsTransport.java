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
import io.uccl.p2p.spi.nativelib.NativeMemory;
import io.uccl.p2p.spi.nativelib.OffHeap;
import io.uccl.p2p.spi.nativelib.Places;
import io.uccl.p2p.spi.nativelib.WakeUp;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * NICs and the peers that their queue pairs are connected to. What the peer's NIC refuses breaks
 * the connection; a NIC that fails takes all of them with it, and the transport with them.
 */
final class VerbsTransport implements Transport {

  /**
   * Longer operations are cut, so that one that crawls is told from one that is stuck: the device
   * says nothing of a piece before its end.
   */
  private static final long LONGEST_OPERATION = 256L << 20;

  /** Into so many pieces the shim cuts an operation. */
  private static final int PIECES = 16;

  /** Packet numbers have as many. */
  private static final int PACKET_BITS = 24;

  /** While it is never idle, events are looked for so often; each look is a system call. */
  private static final long EVENTS_NANOS = TimeUnit.MILLISECONDS.toNanos(10);

  /** What takes long with one peer does not keep all others waiting. */
  private static final int THREADS = 4;

  /** The clock is read once in so many polls; of a device in software one may take long. */
  private static final int POLLS_PER_CLOCK = 8;

  /** How long the completions may take that say what an event was about. */
  private static final long SUSPICION_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private static final String CLOSE_ENGINE = "Close the engine and open a new one";

  private static final FailureDetail DEVICE_FAILED =
      FailureDetail.remedy(CLOSE_ENGINE).withTransport("rdma");

  /** As an array too: iterating over a list in every poll could allocate. */
  private final VerbsNic[] polled;

  private final List<VerbsNic> nics;
  private final OffHeap nicHandles;
  private final int queuePairs;
  private final boolean flush;
  private final int window;
  private final TransportCapabilities capabilities;
  private final SecureRandom random = new SecureRandom();

  /** By their tags; null: free, or of a handshake. */
  private final List<@Nullable VerbsChannel> channels = new ArrayList<>();

  private final ArrayDeque<Integer> freeTags = new ArrayDeque<>();

  /** All that are not destroyed. */
  private final Set<VerbsConnection> connections = ConcurrentHashMap.newKeySet();

  /**
   * Closed, and told of all their operations, but not of all flushes that nobody is told of; or
   * still being connected.
   */
  private final ArrayDeque<VerbsChannel> retiring = new ArrayDeque<>();

  private final Set<VerbsMemory> memories = new LinkedHashSet<>();

  /** Connects queue pairs. */
  private final ThreadPoolExecutor connector = threads("p2p-rdma-connect");

  /** Destroys them. */
  private final ThreadPoolExecutor destroyer = threads("p2p-rdma-destroy");

  /** What it came to. */
  private final Queue<Connected> connected = new ConcurrentLinkedQueue<>();

  /** Operations that the devices do not have any more, or never had. */
  private final Queue<Ended> ended = new ConcurrentLinkedQueue<>();

  /** Places of registrations; the engine's thread for releases frees them. */
  private final Places places = new Places();

  /** Channels that an event said to be broken, and whose completions may say why. */
  private final ArrayDeque<VerbsChannel> suspected = new ArrayDeque<>();

  private int polls;
  private long lastEvents = System.nanoTime();
  private boolean hasEvents;

  /** A NIC works no more: from now on they may only be shut down. */
  private boolean failed;

  private final WakeUp wakeUp;
  private volatile boolean closed;

  /** The queue pairs of a channel are connected, or the device refused. */
  private record Connected(VerbsChannel channel, @Nullable HandshakeException failure) {}

  /** An operation that was taken and ended without a completion. */
  private record Ended(long id, VerbsChannel channel, P2pException failure) {}

  /**
   * Opens the NICs.
   *
   * @param openings one for each, 1 to 4
   * @param window operations that the engine hands to a channel at most
   * @throws TransportUnavailableException if one cannot be opened
   */
  VerbsTransport(List<VerbsOpening> openings, Map<String, String> environment, int window) {
    this.nics = open(openings);
    this.polled = nics.toArray(VerbsNic[]::new);
    this.queuePairs = VerbsSettings.QUEUE_PAIRS.in(environment);
    this.flush = VerbsSettings.FLUSH.in(environment).equals("on");
    this.window = window;
    nicHandles = new OffHeap(nics.size() * Long.BYTES);
    long longest = LONGEST_OPERATION;
    for (int i = 0; i < nics.size(); i++) {
      nicHandles.putLong(i * Long.BYTES, nics.get(i).handle());
      longest = Math.min(longest, PIECES * nics.get(i).found().longestOperation());
    }
    this.capabilities =
        new TransportCapabilities(
            TransportCapabilities.Refusal.BREAKS_CONNECTION,
            TransportCapabilities.TargetChecks.NIC_KEY,
            TransportCapabilities.Expiry.CLOSES_CHANNEL,
            true,
            longest);
    this.wakeUp = openWakeUp();
  }

  private static List<VerbsNic> open(List<VerbsOpening> openings) {
    List<VerbsNic> opened = new ArrayList<>();
    try {
      openings.forEach(opening -> opened.add(VerbsNic.open(opening)));
      return List.copyOf(opened);
    } catch (TransportUnavailableException e) {
      opened.forEach(VerbsNic::shutDown);
      throw e;
    }
  }

  /** They go when they have nothing to do for a second. */
  private static ThreadPoolExecutor threads(String name) {
    ThreadPoolExecutor threads =
        new ThreadPoolExecutor(
            THREADS,
            THREADS,
            1,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            work -> {
              Thread thread = new Thread(work, name);
              thread.setDaemon(true);
              return thread;
            });
    threads.allowCoreThreadTimeOut(true);
    return threads;
  }

  private WakeUp openWakeUp() {
    try {
      return new WakeUp("rdma");
    } catch (TransportUnavailableException e) {
      nics.forEach(VerbsNic::shutDown);
      throw e;
    }
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
    VerbsMemory registered = new VerbsMemory(this, nics, places.take(), name, memory);
    memories.add(registered);
    return registered;
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
    places.free(place);
  }

  // -- channels

  @Override
  public PendingChannel prepare(ChannelRole role) {
    if (failed) {
      throw new TransportException("the device has failed", DEVICE_FAILED);
    }
    nics.forEach(VerbsNic::refresh);
    Integer free = freeTags.poll();
    int tag = free == null ? channels.size() : free;
    if (free == null) {
      channels.add(null);
    }
    try {
      int[] firstPackets = random.ints(queuePairs, 0, 1 << PACKET_BITS).toArray();
      VerbsConnection connection = new VerbsConnection(nics, window, tag, flush, firstPackets);
      connections.add(connection);
      return new Pending(tag, connection);
    } catch (TransportException e) {
      freeTags.add(tag);
      throw e;
    }
  }

  /** Both sides make their queue pairs, and tell them; neither needs the other's for that. */
  private final class Pending implements PendingChannel {

    private final int tag;
    private final VerbsConnection connection;
    private boolean done;

    Pending(int tag, VerbsConnection connection) {
      this.tag = tag;
      this.connection = connection;
    }

    @Override
    public byte[] parameters() {
      return connection.parameters().encode();
    }

    @Override
    public Channel complete(byte[] remote) {
      try {
        if (failed) {
          throw new HandshakeException("the device failed during the handshake", DEVICE_FAILED);
        }
        VerbsParameters theirs = VerbsParameters.decode(remote);
        VerbsChannel channel = new VerbsChannel(VerbsTransport.this, tag, connection);
        connection.connect(theirs, connector, failure -> connected(channel, failure));
        channels.set(tag, channel);
        done = true;
        return channel;
      } catch (HandshakeException e) {
        abort();
        throw e;
      }
    }

    /** What the connector posts first, the acceptor's queue pairs have to be able to receive. */
    @Override
    public boolean answersWhenReady() {
      return true;
    }

    @Override
    public void abort() {
      if (!done) {
        done = true;
        leave(tag, connection);
      }
    }
  }

  /** Any thread. */
  private void connected(VerbsChannel channel, @Nullable HandshakeException failure) {
    connected.add(new Connected(channel, failure));
    wakeUp.give();
  }

  /** A channel was closed: it goes when its last operation has come back. */
  void retire(VerbsChannel channel) {
    // An operation that was posted after the close comes back to a channel that has gone.
    if (!channel.hasOutstanding()
        && channels.get(channel.tag()) == channel
        && !leave(channel.tag(), channel.connection())
        && !retiring.contains(channel)) {
      retiring.add(channel);
    }
  }

  /** Returns false if it has to be tried again. */
  private boolean leave(int tag, VerbsConnection connection) {
    if (!connection.detach(failed)) {
      return false;
    }
    channels.set(tag, null);
    freeTags.add(tag);
    destroy(connection, List.of());
    return true;
  }

  /**
   * Destroys one that is detached. A device that keeps it has failed, and everything of it ends
   * with the transport.
   *
   * @param outstanding are reported when nothing touches their memory any more
   */
  private void destroy(VerbsConnection connection, List<Ended> outstanding) {
    connection.destroy(
        destroyer,
        () -> {
          connections.remove(connection);
          ended.addAll(outstanding);
          wakeUp.give();
        });
  }

  private void retireSome() {
    for (int i = retiring.size(); i > 0; i--) {
      VerbsChannel channel = retiring.remove();
      if (!leave(channel.tag(), channel.connection())) {
        retiring.add(channel);
      }
    }
  }

  // -- operations

  int post(VerbsChannel channel, OpBuffer operations, int first, int count) {
    P2pException failure = channel.failure();
    if (failure != null) {
      // The engine has not heard of the failure yet.
      return fail(channel, operations.id(first), failure);
    }
    int good = 0;
    while (good < count && isGood(channel, operations, first + good)) {
      good++;
    }
    return good == 0
        ? fail(channel, operations.id(first), refusal(channel, operations, first))
        : postGood(channel, operations, first, good);
  }

  /**
   * The peer's NIC would refuse it as well, and break the connection; what the descriptor says is
   * looked at here, so that such a mistake costs one operation alone.
   */
  private boolean isGood(VerbsChannel channel, OpBuffer operations, int index) {
    return isOfPeer(channel, operations, index)
        && VerbsKeys.hasAll(operations, index)
        && (!isFlushed(operations, index) || VerbsKeys.isReadable(operations, index));
  }

  private static boolean isOfPeer(VerbsChannel channel, OpBuffer operations, int index) {
    return VerbsKeys.nics(operations, index) == channel.connection().theirNics();
  }

  private boolean isFlushed(OpBuffer operations, int index) {
    return operations.opcode(index) == OpBuffer.WRITE
        && (flush || VerbsKeys.isGpu(operations, index));
  }

  private static RemoteAccessException refusal(
      VerbsChannel channel, OpBuffer operations, int index) {
    if (!isOfPeer(channel, operations, index)) {
      return new RemoteAccessException(
          "the descriptor has keys for "
              + VerbsKeys.nics(operations, index)
              + " RDMA devices, but the peer's connection has "
              + channel.connection().theirNics(),
          FailureDetail.remedy("Ask the peer for a descriptor of its rdma transport")
              .withTransport("rdma"));
    }
    if (!VerbsKeys.hasAll(operations, index)) {
      return new RemoteAccessException(
          "the descriptor has no keys for a part of the range",
          FailureDetail.remedy("Ask the peer for a new descriptor: this one is damaged")
              .withTransport("rdma"));
    }
    return new RemoteAccessException(
        "the region is not open to reads, so that nothing can prove that a write to it is placed",
        FailureDetail.remedy(
                "Have the peer register it with READ_WRITE; or, for host memory, set"
                    + " UCCL_P2P_RDMA_FLUSH=off")
            .withTransport("rdma"));
  }

  private int postGood(VerbsChannel channel, OpBuffer operations, int first, int count) {
    long slots = operations.address(NativeMemory::address) + (long) first * OpBuffer.SLOT_BYTES;
    long taken = channel.connection().post(slots, count);
    if (taken >= 0) {
      return (int) taken;
    }
    // The first one can never be posted: it is taken, and fails.
    return fail(
        channel,
        operations.id(first),
        channel
            .connection()
            .report()
            .failure(
                "the operation cannot be posted", "See the device's limits in ibv_devinfo -v"));
  }

  /** Takes one operation, and reports it with the next poll. */
  private int fail(VerbsChannel channel, long id, P2pException failure) {
    ended.add(new Ended(id, channel, failure));
    return 1;
  }

  @Override
  public boolean poll(CompletionBuffer into) {
    boolean moved = false;
    if (hasEvents || eventsAreDue()) {
      moved = readEvents(into);
    }
    for (Connected each = connected.poll(); each != null; each = connected.poll()) {
      connected(each, into);
      moved = true;
    }
    while (!ended.isEmpty() && into.remaining() > 0) {
      report(ended.remove(), into);
      moved = true;
    }
    for (VerbsNic nic : polled) {
      moved |= read(nic, into);
    }
    if (!retiring.isEmpty()) {
      retireSome();
    }
    return moved;
  }

  private void connected(Connected result, CompletionBuffer into) {
    VerbsChannel channel = result.channel();
    if (channel.failure() != null) {
      // It was closed, or failed, meanwhile.
      return;
    }
    if (result.failure() == null) {
      into.ready(channel);
    } else {
      channelFailed(channel, result.failure(), into);
    }
  }

  private boolean eventsAreDue() {
    if (++polls < POLLS_PER_CLOCK) {
      return false;
    }
    polls = 0;
    return System.nanoTime() - lastEvents > EVENTS_NANOS;
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

  /** Returns true if there was anything. */
  private boolean read(VerbsNic nic, CompletionBuffer into) {
    boolean moved = false;
    long read = VerbsNic.BATCH;
    while (read == VerbsNic.BATCH && into.remaining() > 0 && !failed) {
      read = nic.poll(into.remaining());
      moved |= read != 0;
      if (read < 0) {
        nicFailed(nic.report().failure("the device failed", CLOSE_ENGINE), into);
      }
      for (int i = 0; i < read; i++) {
        if (nic.isBroken(i)) {
          broken(nic, i, into);
        } else {
          complete(nic, i, into);
        }
      }
    }
    return moved;
  }

  private VerbsChannel channelOf(int tag) {
    VerbsChannel channel = channels.get(tag);
    if (channel == null) {
      throw new IllegalStateException("an operation came back whose channel was gone");
    }
    return channel;
  }

  /** The first error of one of its queue pairs; its operations are told afterwards. */
  private void broken(VerbsNic nic, int index, CompletionBuffer into) {
    VerbsChannel channel = channelOf(nic.completedTag(index));
    int status = nic.completedStatus(index);
    if (status == VerbsStatus.FLUSHED && channel.failure() == null) {
      // No operation of this side broke the queue pair; an event may say what did.
      readEvents(into);
    }
    if (channel.failure() == null) {
      channelFailed(channel, causeOf(channel, nic, status, nic.completedVendor(index)), into);
    }
  }

  private static P2pException causeOf(VerbsChannel channel, VerbsNic nic, int status, int vendor) {
    P2pException suspicion = channel.suspicion();
    if (status == VerbsStatus.FLUSHED && suspicion != null) {
      return suspicion;
    }
    // What is sent over a port that goes down may fail before the event of the port comes.
    return VerbsStatus.mayComeOfPort(status) && nic.isDown()
        ? VerbsEvent.portDown(VerbsStatus.detail(status, vendor))
        : VerbsStatus.failure(status, vendor);
  }

  private void complete(VerbsNic nic, int index, CompletionBuffer into) {
    VerbsChannel channel = channelOf(nic.completedTag(index));
    int status = nic.completedStatus(index);
    if (status == VerbsStatus.SUCCESS) {
      into.done(nic.completedId(index));
    } else {
      P2pException cause = channel.failure();
      into.failed(
          nic.completedId(index),
          cause == null ? VerbsStatus.failure(status, nic.completedVendor(index)) : cause);
    }
    cameBack(channel);
  }

  /** Its operations come back with the cause, which is the first one. */
  private void channelFailed(VerbsChannel channel, P2pException cause, CompletionBuffer into) {
    channel.fail(cause);
    into.failed(channel, cause);
  }

  // -- what happens to the device

  /** Returns true if there were any. */
  private boolean readEvents(CompletionBuffer into) {
    hasEvents = false;
    lastEvents = System.nanoTime();
    if (!suspected.isEmpty()) {
      convict(into, lastEvents);
    }
    boolean any = false;
    for (VerbsNic nic : polled) {
      any |= readEvents(nic, into);
    }
    return any;
  }

  private boolean readEvents(VerbsNic nic, CompletionBuffer into) {
    boolean any = false;
    long read = VerbsNic.EVENTS;
    while (read == VerbsNic.EVENTS && !failed) {
      read = nic.readEvents();
      any |= read != 0;
      if (read < 0) {
        nicFailed(nic.report().failure("the device's events cannot be read", CLOSE_ENGINE), into);
      }
      for (int i = 0; i < read; i++) {
        event(nic.eventType(i), nic.eventTag(i), into);
      }
    }
    return any;
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
      suspect(channel, ofConnection, into);
    }
  }

  /**
   * Some devices send the same events for errors of this side's operations, whose status says more.
   * So the status of what is outstanding is waited for, and the event is the cause if there is none
   * but flushes, or nothing comes.
   */
  private void suspect(VerbsChannel channel, P2pException cause, CompletionBuffer into) {
    if (!channel.hasOutstanding()) {
      channelFailed(channel, cause, into);
    } else if (channel.suspicion() == null) {
      channel.suspect(cause, System.nanoTime());
      suspected.add(channel);
    }
  }

  /** Those of which no completion came. */
  private void convict(CompletionBuffer into, long now) {
    for (int i = suspected.size(); i > 0; i--) {
      VerbsChannel channel = suspected.remove();
      P2pException cause = channel.suspicion();
      if (cause != null && channel.failure() == null) {
        if (now - channel.suspectedSince() > SUSPICION_NANOS) {
          channelFailed(channel, cause, into);
        } else {
          suspected.add(channel);
        }
      }
    }
  }

  private void channelsFailed(P2pException cause, CompletionBuffer into) {
    for (VerbsChannel channel : channels) {
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
    if (failed) {
      return;
    }
    channelsFailed(cause, into);
    failed = true;
    for (VerbsChannel channel : channels) {
      if (channel != null) {
        giveUp(channel, channel.failure() == null ? cause : channel.failure());
      }
    }
  }

  private void giveUp(VerbsChannel channel, P2pException cause) {
    VerbsConnection connection = channel.connection();
    List<Ended> outstanding = new ArrayList<>();
    connection.forEachOutstanding(id -> outstanding.add(new Ended(id, channel, cause)));
    if (connection.detach(true)) {
      destroy(connection, outstanding);
    }
  }

  @Override
  public void block(long nanos) {
    if (connected.isEmpty() && ended.isEmpty() && !hasEvents) {
      int count = failed ? 0 : nics.size();
      hasEvents = VerbsShim.await(nicHandles.address(), count, wakeUp.descriptor(), nanos) > 0;
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
    connections.forEach(VerbsConnection::breakPairs);
    // What a device keeps, the release tells.
    List.copyOf(memories).forEach(VerbsMemory::closeAll);
    memories.clear();
    wakeUp.close();
  }

  @Override
  public void release() {
    shutDown();
  }

  /**
   * Ends everything: destroys the queue pairs, closes what is registered and the devices. When it
   * returns, nothing touches any memory. Idempotent.
   *
   * @throws TransportException if a device keeps something
   */
  synchronized void shutDown() {
    connections.forEach(VerbsConnection::withdraw);
    // What is being connected is nobody else's.
    await(connector);
    for (VerbsConnection connection : connections) {
      if (connection.detach(true)) {
        destroy(connection, List.of());
      }
    }
    await(destroyer);
    // What the device kept: once more, so that it is told.
    List.copyOf(connections).forEach(this::end);
    nics.forEach(VerbsNic::shutDown);
  }

  private static void await(ThreadPoolExecutor threads) {
    threads.shutdown();
    boolean interrupted = false;
    while (!threads.isTerminated()) {
      try {
        threads.awaitTermination(1, TimeUnit.SECONDS);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void end(VerbsConnection connection) {
    if (!connection.detach(true) || !connection.destroy()) {
      throw connection
          .report()
          .failure("the device does not destroy a queue pair", "End the process to free it");
    }
    connections.remove(connection);
  }
}
