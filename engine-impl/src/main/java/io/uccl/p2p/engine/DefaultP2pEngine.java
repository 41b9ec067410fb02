package io.uccl.p2p.engine;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.ChannelRole;
import io.uccl.p2p.spi.CompletionBuffer;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.PendingChannel;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportCapabilities;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The engine: puts transport, control channel and progress loop together, and keeps the books of
 * regions and connections.
 *
 * <p>What is marked as the owner's is touched only by the owner of the transport, see {@link
 * ProgressLoop}.
 */
final class DefaultP2pEngine implements P2pEngine, ProgressLoop.Work {

  private static final Logger LOG = LoggerFactory.getLogger(DefaultP2pEngine.class);

  private static final int COMPLETIONS = 512;

  /** What this engine tells others that it can. */
  private static final int FEATURES =
      HandshakeTrailer.FEATURE_READY
          | HandshakeTrailer.FEATURE_HEARTBEATS
          | HandshakeTrailer.FEATURE_PIECES
          | HandshakeTrailer.FEATURE_REVOKES;

  /** How late a deadline may be noticed. */
  private static final long TICK_NANOS = TimeUnit.MILLISECONDS.toNanos(10);

  /** While there is always something to do; with a device in software once may take long. */
  private static final int DRIVES_PER_CLOCK = 8;

  private final EngineConfig config;
  private final TransportProvider provider;
  private final TransportChoice choice;
  private final Transport transport;
  private final int window;
  private final long maxOperationBytes;
  private final int life;
  private final ProgressLoop loop;
  private final ControlChannel control;
  private final EndpointMetadata metadata;
  private final AtomicBoolean closing = new AtomicBoolean();
  private final CountDownLatch closed = new CountDownLatch(1);
  private final Callbacks callbacks;
  private final Reaper reaper;
  private final RegionCloser regionCloser;
  private final Peers peers = new Peers();
  private final Mailbox<DefaultConnection> accepted = new Mailbox<>();
  private final Mailbox<ReceivedNotification> inbox = new Mailbox<>();
  private final InboxBudget inboxBudget = new InboxBudget(InboxBudget.DEFAULT_BYTES);

  // -- the owner's
  private final CompletionBuffer completions = new CompletionBuffer(COMPLETIONS);
  // For parts of long operations. One for all: a channel copies what it takes, and off-heap memory
  // for each connection would be one more thing that a connection may not get.
  private final OpBuffer part = new OpBuffer(1);
  private final TransferTable transfers = new TransferTable();
  private final RegionRegistry regions = new RegionRegistry();
  private final IdentityHashMap<Channel, ConnectionSetup> byChannel = new IdentityHashMap<>();
  private final List<ConnectionSetup> setups = new ArrayList<>();
  private final ForeignPeers foreignPeers = new ForeignPeers();
  private final IncomingSetups incoming = new IncomingSetups(foreignPeers::isAt);
  private final List<DefaultConnection> connections = new ArrayList<>();
  private final LateOperations late = new LateOperations();
  private final ArrayDeque<DefaultConnection> postable = new ArrayDeque<>();
  private volatile boolean passive;
  private int drives;
  private long nextTick;
  private @Nullable P2pException ended;

  private DefaultP2pEngine(
      EngineConfig config,
      TransportSelector.Selection selection,
      Transport transport,
      int window,
      ControlChannel control,
      Callbacks callbacks,
      Reaper reaper) {
    this.config = config;
    this.transport = transport;
    this.window = window;
    this.control = control;
    this.callbacks = callbacks;
    this.reaper = reaper;
    provider = selection.provider();
    choice = selection.choice();
    life = randomLife();
    maxOperationBytes =
        Math.min(config.maxOperationBytes(), transport.capabilities().maxOperationBytes());
    metadata =
        new EndpointMetadata(control.address().getAddress(), control.address().getPort(), "");
    loop = new ProgressLoop("p2p-progress-" + provider.name(), this);
    regionCloser = new RegionCloser(loop, reaper, provider.name(), regions, connections, late);
  }

  static DefaultP2pEngine open(EngineConfig config) {
    return open(config, TransportSelector.select(config));
  }

  /** Opens one on a given transport. */
  static DefaultP2pEngine open(EngineConfig config, TransportSelector.Selection selection) {
    Map<String, String> environment = config.environment();
    selection.warnings().forEach(LOG::warn);
    TransportProvider provider = selection.provider();
    LocalAddress local = LocalAddress.choose(environment);
    int window = EngineSettings.maxInflightOperations(environment, provider);
    ControlFrames frames = new ControlFrames(provider.handshakeMagic(), selection.magics());
    Reaper reaper = new Reaper("p2p-reaper-" + provider.name());
    Transport transport = null;
    ControlChannel control = null;
    Callbacks callbacks = null;
    try {
      transport =
          provider.open(
              new TransportContext(environment, local.address(), window, config.gpuIndex()));
      control =
          ControlChannel.open(local.address(), EngineSettings.CONTROL_PORT.in(environment), frames);
      callbacks = new Callbacks("p2p-callbacks-" + control.address().getPort());
      DefaultP2pEngine engine =
          new DefaultP2pEngine(config, selection, transport, window, control, callbacks, reaper);
      engine.loop.start();
      frames.attach(engine);
      return engine;
    } catch (RuntimeException | Error e) {
      // Links that came in the meantime wait for the engine: they must not hold up the close.
      frames.abandon();
      closeQuietly(control);
      closeQuietly(callbacks);
      closeQuietly(transport);
      Runnable release = transport == null ? () -> {} : transport::release;
      reap(reaper, provider.name(), release, System.nanoTime() + Reaper.PATIENCE_NANOS);
      throw e;
    }
  }

  /** Has the transport release what its close left, as the last thing that the reaper does. */
  private static boolean reap(Reaper reaper, String transport, Runnable release, long deadline) {
    boolean released = false;
    try {
      released = Reaper.await(reaper.run("release of " + transport, release), deadline);
    } catch (RuntimeException | Error e) {
      LOG.error("the release of {} could not be handed to the reaper", transport, e);
    }
    reaper.close();
    if (!released) {
      LOG.warn(
          "the engine is closed, but the transport {} has not released what it had yet", transport);
    }
    return released;
  }

  private static void closeQuietly(@Nullable AutoCloseable resource) {
    if (resource != null) {
      try {
        resource.close();
      } catch (Exception | Error e) {
        LOG.warn("closing failed: {}", OneLine.of(e));
      }
    }
  }

  // -- any thread

  @Override
  public EndpointMetadata metadata() {
    return metadata;
  }

  @Override
  public TransportChoice transport() {
    return choice;
  }

  @Override
  public MemoryRegion allocate(long length, RegionAccess access) {
    requireNativeMemory("allocate memory");
    NativeMemory.Allocation allocation = NativeMemory.allocate(length);
    try {
      return register(allocation.span(), true, access, allocation);
    } catch (RuntimeException e) {
      allocation.close();
      throw e;
    }
  }

  @Override
  public MemoryRegion register(ByteBuffer buffer, RegionAccess access) {
    boolean known = NativeMemory.availability().available() && buffer.isDirect();
    long address =
        known ? NativeMemory.address(buffer) : regions.syntheticAddress(buffer.capacity());
    return register(MemorySpan.of(buffer, address), known, access, null);
  }

  @Override
  public MemoryRegion register(long address, long length, RegionAccess access) {
    requireNativeMemory("register memory by its address");
    return register(NativeMemory.wrap(address, length), true, access, null);
  }

  private MemoryRegion register(
      MemorySpan span,
      boolean nativeAddress,
      RegionAccess access,
      NativeMemory.@Nullable Allocation allocation) {
    if (!transport.takes(span.kind())) {
      throw new RegistrationException(
          "the transport " + choice.name() + " takes no memory of kind " + span.kind(),
          FailureDetail.remedy("Copy it to the host's memory, or use a transport that takes it")
              .withTransport(choice.name()));
    }
    return loop.call(
        () -> {
          requireOpen();
          RegionName name = regions.name(life, access);
          DefaultMemoryRegion region =
              new DefaultMemoryRegion(
                  this, name, span, nativeAddress, transport.register(name, span), allocation);
          regions.add(region);
          return region;
        });
  }

  private static void requireNativeMemory(String what) {
    Availability memory = NativeMemory.availability();
    if (!memory.available()) {
      throw new RegistrationException(
          "cannot " + what + ": " + memory.detail(),
          FailureDetail.remedy(memory.remedy() + "; register(ByteBuffer) works without it"));
    }
  }

  @Override
  public Connection connect(EndpointMetadata peer, Duration timeout) throws InterruptedException {
    return connect(peer, timeout, false);
  }

  private DefaultConnection connect(EndpointMetadata peer, Duration timeout, boolean keep)
      throws InterruptedException {
    long deadline = System.nanoTime() + Nanos.of(timeout);
    ConnectionSetup setup =
        loop.call(
            () -> {
              requireOpen();
              AtomicReference<ConnectionSetup> made = new AtomicReference<>();
              control.connect(
                  peer.socketAddress(),
                  link ->
                      made.updateAndGet(
                          none -> new ConnectionSetup(this, link, peer, keep && passive)));
              ConnectionSetup attempt = Objects.requireNonNull(made.get());
              setups.add(attempt);
              if (sharesHandshake()) {
                foreignPeers.add(peer.address(), attempt);
              }
              return attempt;
            });
    return get(setup, deadline, peer);
  }

  private DefaultConnection get(ConnectionSetup setup, long deadline, EndpointMetadata peer)
      throws InterruptedException {
    try {
      return setup.result().get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof P2pException failure) {
        throw failure.withDetail(failure.detail());
      }
      throw new IllegalStateException("connecting to " + peer + " failed", e.getCause());
    } catch (TimeoutException e) {
      PeerUnreachableException late =
          new PeerUnreachableException(
              "no connection came about in time",
              FailureDetail.NONE
                  .withPeer(peer.toString())
                  .withTransport(choice.name())
                  .withRemedy(
                      "Check that the peer runs, that nothing filters its address and port, and"
                          + " that the time suffices"));
      loop.run(() -> setup.fail(late));
      throw late;
    } catch (InterruptedException e) {
      PeerUnreachableException interrupted =
          new PeerUnreachableException("the attempt was interrupted", FailureDetail.NONE);
      loop.run(() -> setup.fail(interrupted));
      throw e;
    }
  }

  @Override
  public @Nullable Connection accept(Duration timeout) throws InterruptedException {
    if (passive) {
      throw new IllegalStateException(
          "incoming connections are taken in the background since passiveAccept");
    }
    return accepted.poll(Nanos.of(timeout));
  }

  @Override
  public void passiveAccept() {
    loop.call(
        () -> {
          passive = true;
          for (DefaultConnection c = accepted.poll(); c != null; c = accepted.poll()) {
            peers.keep(c);
          }
          return true;
        });
  }

  @Override
  public Connection addPeer(EndpointMetadata peer, Duration timeout) throws InterruptedException {
    checkOpen();
    return peers.connectOrGet(peer, timeout, left -> connect(peer, left, true));
  }

  @Override
  public boolean removePeer(EndpointMetadata peer) {
    DefaultConnection connection = peers.remove(peer);
    if (connection != null) {
      connection.close();
    }
    return connection != null;
  }

  @Override
  public @Nullable ReceivedNotification takeNotification(Duration timeout)
      throws InterruptedException {
    return taken(inbox.poll(Nanos.of(timeout)));
  }

  @Override
  public @Nullable ReceivedNotification pollNotification() {
    return taken(inbox.poll());
  }

  private @Nullable ReceivedNotification taken(@Nullable ReceivedNotification received) {
    if (received != null) {
      inboxBudget.gone(received.notification());
    }
    return received;
  }

  @Override
  public void close() {
    if (closing.compareAndSet(false, true)) {
      try {
        closeAll();
      } finally {
        closed.countDown();
      }
    } else {
      awaitClosed();
    }
  }

  private void closeAll() {
    long deadline = System.nanoTime() + Reaper.PATIENCE_NANOS;
    ResourceClosedException cause =
        new ResourceClosedException("the engine was closed", FailureDetail.NONE);
    // Whatever fails on the way: what comes after it is closed all the same.
    closeQuietly(() -> loop.call(() -> end(cause)));
    closeQuietly(control);
    loop.stop();
    closeQuietly(loop::executeSubmissions);
    List<DefaultConnection> last = List.copyOf(connections);
    last.forEach(connection -> closeQuietly(() -> connection.fail(cause)));
    List<DefaultMemoryRegion> closedRegions = regionCloser.closeAll();
    closeQuietly(transport);
    boolean released = reap(reaper, choice.name(), () -> release(closedRegions), deadline);
    last.forEach(connection -> closeQuietly(() -> connection.abandon(cause, !released)));
    closeQuietly(loop::end);
    callbacks.close();
  }

  private boolean end(P2pException cause) {
    ended = cause;
    accepted.close(cause);
    inbox.close(cause);
    List.copyOf(setups).forEach(setup -> setup.fail(cause));
    return true;
  }

  /** Another thread closes: when close returns, the engine is closed, whoever did it. */
  private void awaitClosed() {
    boolean interrupted = false;
    while (true) {
      try {
        closed.await();
        break;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** The reaper's: what the closed transport and its regions still have. */
  private void release(List<DefaultMemoryRegion> closedRegions) {
    closedRegions.forEach(region -> closeQuietly(region::release));
    transport.release();
    closedRegions.forEach(region -> closeQuietly(region::giveBack));
    loop.run(late::freeAll);
  }

  private void checkOpen() {
    if (closing.get()) {
      throw new ResourceClosedException("the engine was closed", FailureDetail.NONE);
    }
  }

  // -- for connections and regions, any thread

  ProgressLoop loop() {
    return loop;
  }

  int window() {
    return window;
  }

  long maxOperationBytes() {
    return maxOperationBytes;
  }

  int maxQueuedOperations() {
    return config.maxQueuedOperations();
  }

  long stallNanos() {
    return Nanos.of(config.stallDeadline());
  }

  /** A handshake's payload with the transport's parameters in it. */
  byte[] handshake(byte[] parameters, boolean shared) {
    int features = shared ? FEATURES | HandshakeTrailer.FEATURE_SHARED : FEATURES;
    HandshakeTrailer trailer = HandshakeTrailer.of(life, features, metadata);
    return new Handshake(
            provider.handshakeMagic(),
            config.gpuIndex(),
            metadata.port(),
            HandshakeTrailer.append(parameters, trailer))
        .encode();
  }

  /** Whether a C++ engine may be at the other end. */
  boolean sharesHandshake() {
    return provider.sharesHandshake();
  }

  /** Connects to the control port of a C++ peer, to send it notifications. */
  ControlLink dial(InetSocketAddress peer, ConnectionSetup setup) {
    return control.connect(peer, link -> new NotificationLink(setup));
  }

  void closeConnection(DefaultConnection connection) {
    loop.call(
        () -> {
          connection
              .setup()
              .fail(
                  new ResourceClosedException(
                      "the connection was closed", connection.detail(FailureDetail.NONE)));
          return true;
        });
  }

  void closeRegion(DefaultMemoryRegion region) {
    regionCloser.close(region);
  }

  /** A peer has drained a region. */
  void drained(DefaultConnection connection, int rid, long idx) {
    regionCloser.drained(connection, rid, idx);
  }

  /** A connection has ended: its peer reaches no region through it any more. */
  void gone(DefaultConnection connection) {
    regionCloser.gone(connection);
  }

  /** Counts what may be waiting for callers to take. */
  InboxBudget inboxBudget() {
    return inboxBudget;
  }

  /** A notification has come, by a connection or by none. It was counted already. */
  void deliver(@Nullable DefaultConnection from, Notification notification) {
    if (!inbox.add(new ReceivedNotification(from, notification))) {
      inboxBudget.gone(notification);
    }
  }

  /** Runs a caller's callback, some time, on the thread for that. */
  void callBack(Runnable callback) {
    callbacks.run(callback);
  }

  static String text(Throwable cause) {
    String message = cause.getMessage();
    return message == null ? cause.getClass().getSimpleName() : message;
  }

  // -- the owner

  @Override
  public boolean drive() {
    boolean moved = loop.executeSubmissions();
    moved |= pump();
    moved |= transport.poll(completions);
    // Channels first: an operation that failed with its channel fails with the connection's cause.
    CompletionBuffer.ChannelEvent event;
    while ((event = completions.takeChannelEvent()) != null) {
      channelChanged(event);
      moved = true;
    }
    if (completions.size() > 0) {
      complete();
      moved = true;
    }
    moved |= pump();
    if (!moved || ++drives >= DRIVES_PER_CLOCK) {
      drives = 0;
      tick();
    }
    return moved;
  }

  @Override
  public void block(long nanos) {
    // Operations and handshakes under way have deadlines; without any there is nothing to watch.
    transport.block(Math.max(1, hasDeadlines() ? Math.min(nanos, TICK_NANOS) : nanos));
  }

  @Override
  public void wakeup() {
    transport.wakeup();
  }

  @Override
  public void broken(Throwable cause) {
    P2pException failure =
        new TransportException(
            "the transport broke: " + text(cause),
            FailureDetail.NONE
                .withTransport(choice.name())
                .withRemedy("Close the engine and open another"),
            cause);
    ended = failure;
    accepted.close(failure);
    inbox.close(failure);
    // The transport may throw once more, at each of them.
    List.copyOf(setups).forEach(setup -> closeQuietly(() -> setup.fail(failure)));
    List.copyOf(connections)
        .forEach(connection -> closeQuietly(() -> connection.abandon(failure, true)));
  }

  /** Where a connection puts a part of an operation while it posts it. */
  OpBuffer part() {
    return part;
  }

  TransferTable transfers() {
    return transfers;
  }

  TransportCapabilities.Expiry expiry() {
    return transport.capabilities().expiry();
  }

  /** What the transport still has of batches that have ended. */
  LateOperations late() {
    return late;
  }

  /** The transport has reported an operation of a batch that has ended, or a part of one. */
  void reportedLate(OperationBatch batch, int index) {
    late.reported(batch, index);
    regionCloser.releaseUnused();
  }

  PendingChannel prepare(ChannelRole role) {
    return transport.prepare(role);
  }

  void schedule(DefaultConnection connection) {
    if (!connection.scheduled) {
      connection.scheduled = true;
      postable.addLast(connection);
    }
  }

  /** Whether incoming connections are kept for their peers. */
  boolean isPassive() {
    return passive;
  }

  int life() {
    return life;
  }

  /**
   * A setup of a connection with a peer that both sides are to keep, made by this side or by the
   * peer, that has not failed.
   */
  @Nullable ConnectionSetup shared(EndpointMetadata peer, ChannelRole role) {
    for (ConnectionSetup setup : setups) {
      if (setup.isShared(peer, role)) {
        return setup;
      }
    }
    return null;
  }

  /** The control link of an incoming connection is there. */
  void incoming(ConnectionSetup setup) {
    setups.add(setup);
    incoming.add(setup);
    if (ended != null) {
      setup.fail(ended);
    }
  }

  /** Connections to C++ engines, and attempts that may become some. */
  ForeignPeers foreignPeers() {
    return foreignPeers;
  }

  /** A C++ engine has connected. */
  void isForeign(ConnectionSetup setup) {
    foreignPeers.add(setup.senderAddress(), setup);
    incoming.shookHands(setup);
  }

  /** What has sent a handshake is no C++ engine. */
  void isNotForeign(ConnectionSetup setup) {
    foreignPeers.remove(setup.senderAddress(), setup);
    incoming.foreignPeerGone(setup.senderAddress());
    incoming.shookHands(setup);
  }

  void expect(Channel channel, ConnectionSetup setup) {
    byChannel.put(channel, setup);
  }

  void established(DefaultConnection connection, ChannelRole role) {
    incoming.remove(connection.setup());
    connections.add(connection);
    if (role == ChannelRole.ACCEPTOR) {
      if (passive) {
        peers.keep(connection);
      } else {
        accepted.add(connection);
      }
    }
  }

  void forget(ConnectionSetup setup, @Nullable Channel channel) {
    setups.remove(setup);
    incoming.remove(setup);
    foreignPeers.remove(setup.senderAddress(), setup);
    incoming.foreignPeerGone(setup.senderAddress());
    if (channel != null) {
      byChannel.remove(channel);
    }
  }

  /** A connection that has failed has nothing live any more. */
  void retire(DefaultConnection connection) {
    connections.remove(connection);
    peers.forget(connection);
    // A peer may come and go while nobody accepts.
    accepted.remove(connection);
  }

  private void requireOpen() {
    ResourceClosedException gone = closedException();
    if (gone != null) {
      throw gone;
    }
  }

  private @Nullable ResourceClosedException closedException() {
    P2pException cause = ended;
    return cause == null
        ? null
        : new ResourceClosedException("the engine is closed", FailureDetail.NONE, cause);
  }

  private boolean pump() {
    boolean moved = false;
    for (int n = postable.size(); n > 0; n--) {
      DefaultConnection connection = postable.removeFirst();
      connection.scheduled = false;
      moved |= connection.pump();
      if (connection.canPost()) {
        schedule(connection);
      }
    }
    return moved;
  }

  private void complete() {
    for (int i = 0; i < completions.size(); i++) {
      long id = completions.id(i);
      OperationBatch batch = transfers.batch(id);
      if (batch == null) {
        LOG.warn("the transport reported operation {} twice", Long.toHexString(id));
        continue;
      }
      int index = transfers.index(id);
      transfers.remove(id);
      batch.connection().completed(batch, index, completions.failure(i));
    }
    completions.clear();
  }

  private void channelChanged(CompletionBuffer.ChannelEvent event) {
    ConnectionSetup setup = byChannel.get(event.channel());
    if (setup == null) {
      return;
    }
    P2pException cause = event.failure();
    setup.attempt(cause == null ? setup::channelReady : () -> setup.channelFailed(cause));
  }

  private boolean hasDeadlines() {
    // By index: an iterator would be an allocation each time that a caller blocks.
    for (int i = 0; i < setups.size(); i++) {
      ConnectionSetup setup = setups.get(i);
      if (setup.connection() == null && !setup.isDialledBack()) {
        return true;
      }
    }
    for (int i = 0; i < connections.size(); i++) {
      if (connections.get(i).hasDeadlines()) {
        return true;
      }
    }
    return false;
  }

  private void tick() {
    long now = System.nanoTime();
    if (nextTick - now > 0) {
      return;
    }
    nextTick = now + TICK_NANOS;
    for (int i = connections.size() - 1; i >= 0; i--) {
      connections.get(i).checkDeadlines(now);
    }
    incoming.expire(now);
  }

  private static int randomLife() {
    SecureRandom random = new SecureRandom();
    int life = random.nextInt();
    while (life == 0) {
      life = random.nextInt();
    }
    return life;
  }
}
