package io.uccl.p2p.engine;

import io.uccl.p2p.Connection;
import io.uccl.p2p.DeadlineExceededException;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerState;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.TransportCapabilities;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The connection to one peer: its channel, its control link, and the batches that are live on it,
 * in the order in which they were posted.
 *
 * <p>A batch is live from the moment the owner takes it until it has ended. The cursor is the first
 * live batch that is not wholly posted to the channel.
 *
 * <p>A batch may end before the transport has reported all of it. Such operations are
 * <em>late</em>: they keep their place in the window until they are reported.
 */
final class DefaultConnection implements Connection {

  /**
   * How long a channel that is closed has for reporting what it had, before that is given up.
   * Transports that can end operations need a few polls, or a queue pair's flush; half of the
   * second in which a close has its effect is left for everything else.
   */
  private static final long GRACE_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  /** How long a refusal that broke the channel waits for a sign that the peer's process ended. */
  private static final long REFUSAL_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private final DefaultP2pEngine engine;
  private final EndpointMetadata remote;
  // 0 of a C++ peer, which has none.
  private final int remoteLife;
  private final Channel channel;
  private final ControlLink link;
  private final NotificationSender notifications;
  private final RevokedRegions revoked;
  private final ConnectionSetup setup;
  private final AtomicLong reserved = new AtomicLong();
  // Notifications that wait for a transfer, which the owner has not come to. The transfer may have
  // ended: then they are about to be sent, and nothing that comes later may overtake them.
  private final AtomicInteger unseen = new AtomicInteger();
  private volatile @Nullable P2pException failure;
  private volatile PeerState peerState = PeerState.CONNECTED;

  // -- the owner's
  private final List<Consumer<? super P2pException>> closedListeners = new ArrayList<>();
  private final List<Consumer<? super PeerState>> stateListeners = new ArrayList<>();
  private @Nullable OperationBatch firstLive;
  private @Nullable OperationBatch lastLive;
  private @Nullable OperationBatch cursor;
  private int inFlight;
  private int late;
  private long reports;
  private @Nullable P2pException refusal;
  private long refusalTime;
  private final List<FailedReport> heldReports = new ArrayList<>();
  private boolean closed;
  private long closedTime;
  private long progressSeen;
  private long progressTime = System.nanoTime();

  /** What the transport reported after a refusal broke the channel. */
  private record FailedReport(OperationBatch batch, int index, P2pException cause) {}

  /** True while the engine has this connection in its list of those that can post. */
  boolean scheduled;

  DefaultConnection(
      DefaultP2pEngine engine,
      EndpointMetadata remote,
      int remoteLife,
      Channel channel,
      ControlLink link,
      NotificationSender notifications,
      RevokedRegions revoked,
      ConnectionSetup setup) {
    this.engine = engine;
    this.remote = remote;
    this.remoteLife = remoteLife;
    this.channel = channel;
    this.link = link;
    this.notifications = notifications;
    this.revoked = revoked;
    this.setup = setup;
  }

  // -- any thread

  @Override
  public EndpointMetadata remote() {
    return remote;
  }

  @Override
  public boolean isOpen() {
    return failure == null;
  }

  @Override
  public @Nullable P2pException failure() {
    return failure;
  }

  @Override
  public Transfer write(
      MemoryRegion local, long localOffset, FifoDescriptor remote, long remoteOffset, long length) {
    return single(OpBuffer.WRITE, local, localOffset, remote, remoteOffset, length);
  }

  @Override
  public Transfer read(
      MemoryRegion local, long localOffset, FifoDescriptor remote, long remoteOffset, long length) {
    return single(OpBuffer.READ, local, localOffset, remote, remoteOffset, length);
  }

  private Transfer single(
      int opcode,
      MemoryRegion local,
      long localOffset,
      FifoDescriptor remote,
      long remoteOffset,
      long length) {
    OperationBatch batch = new OperationBatch(this, 1);
    batch.add(opcode, local, localOffset, remote, remoteOffset, length);
    reserved.incrementAndGet();
    batch.start(0);
    return batch;
  }

  @Override
  public TransferBatch newBatch(int capacity) {
    return new OperationBatch(this, capacity);
  }

  @Override
  public PostResult sendNotification(Notification notification) {
    if (!hasRoomFor(notification)) {
      return PostResult.BACK_PRESSURED;
    }
    if (unseen.get() > 0) {
      loop().call(() -> true);
    }
    if (!notifications.send(ControlCodec.encode(notification))) {
      throw linkEnded(notification.toString());
    }
    return PostResult.POSTED;
  }

  @Override
  public PostResult sendAfter(Transfer transfer, Notification notification) {
    if (!(transfer instanceof OperationBatch batch) || batch.connection() != this) {
      throw new IllegalArgumentException("the transfer was not posted on this " + this);
    }
    if (batch.status() == TransferStatus.IDLE) {
      throw new IllegalArgumentException("the transfer was not posted, so nothing can follow it");
    }
    if (!hasRoomFor(notification)) {
      return PostResult.BACK_PRESSURED;
    }
    byte[] encoded = ControlCodec.encode(notification);
    hold(batch, encoded);
    return PostResult.POSTED;
  }

  /** Holds a notification back until a batch has ended. */
  void hold(OperationBatch batch, byte[] encoded) {
    NotificationSender.Held held = notifications.hold(encoded);
    unseen.incrementAndGet();
    // Behind the batch in the queue of submissions, so the owner has seen the batch by then.
    loop()
        .run(
            () -> {
              try {
                batch.sendAfter(held);
              } finally {
                unseen.decrementAndGet();
              }
            });
  }

  private boolean hasRoomFor(Notification notification) {
    P2pException broken = failure != null ? failure : notifications.failure();
    if (broken != null) {
      throw broken.withDetail(detail(broken.detail()).withOperation(notification.toString(), ""));
    }
    return notifications.hasRoom();
  }

  @Override
  public boolean flushNotifications(Duration timeout) throws InterruptedException {
    long deadline = System.nanoTime() + Nanos.of(timeout);
    if (unseen.get() > 0 && !loop().catchUp(deadline)) {
      return false;
    }
    return switch (notifications.flush(Math.max(0, deadline - System.nanoTime()))) {
      case CONFIRMED -> true;
      case TIMED_OUT -> false;
      case ENDED -> throw linkEnded("flush of notifications");
    };
  }

  private P2pException linkEnded(String operation) {
    P2pException broken = failure != null ? failure : notifications.failure();
    // Without a failure the link has ended, and the owner has not made that the failure yet.
    FailureDetail detail =
        detail(broken == null ? FailureDetail.NONE : broken.detail()).withOperation(operation, "");
    if (broken != null) {
      return broken.withDetail(detail);
    }
    return setup.dialsForNotifications()
        ? new PeerUnreachableException(
            "the peer's control port cannot be dialled, or it has closed that connection", detail)
        : new PeerLostException("the control connection ended", detail);
  }

  @Override
  public PeerState peerState() {
    return peerState;
  }

  @Override
  public void onPeerState(Consumer<? super PeerState> listener) {
    loop()
        .run(
            () -> {
              PeerState now = peerState;
              if (now != PeerState.CONNECTED) {
                engine.callBack(() -> listener.accept(now));
              }
              if (!closed) {
                stateListeners.add(listener);
              }
            });
  }

  @Override
  public void onClosed(Consumer<? super P2pException> listener) {
    loop()
        .run(
            () -> {
              P2pException cause = failure;
              if (cause == null) {
                closedListeners.add(listener);
              } else {
                engine.callBack(() -> listener.accept(cause));
              }
            });
  }

  @Override
  public void close() {
    engine.closeConnection(this);
  }

  ProgressLoop loop() {
    return engine.loop();
  }

  /** Makes room for operations; false if too many are waiting. */
  boolean reserve(int count) {
    long before = reserved.getAndAdd(count);
    if (before > 0 && before + count > engine.maxQueuedOperations()) {
      reserved.addAndGet(-count);
      return false;
    }
    return true;
  }

  DefaultMemoryRegion ownRegion(MemoryRegion region) {
    if (region instanceof DefaultMemoryRegion own && own.isOf(engine)) {
      return own;
    }
    throw new IllegalArgumentException(
        "the local region belongs to another engine; register its memory with this one");
  }

  void checkLife(FifoDescriptor descriptor) {
    if (remoteLife != 0 && descriptor.life() != remoteLife) {
      throw new RemoteAccessException(
          "the descriptor was made by another life of the peer, or by another peer",
          detail(FailureDetail.NONE)
              .withOperation("", "region " + Integer.toUnsignedString(descriptor.rid()))
              .withRemedy("Ask the peer for a new descriptor after each connect"));
    }
  }

  FailureDetail detail(FailureDetail known) {
    return known.withPeer(remote.toString()).withTransport(engine.transport().name());
  }

  @Override
  public String toString() {
    return "connection to " + remote;
  }

  // -- the owner

  ConnectionSetup setup() {
    return setup;
  }

  /** The transfer that a notification waited for has ended: it is sent if that ended well. */
  void follow(NotificationSender.Held notification, boolean endedWell) {
    if (endedWell) {
      notifications.sendHeld(notification);
    } else {
      notifications.dropHeld(notification);
    }
  }

  /** Takes a batch that a caller posted. */
  void enqueue(OperationBatch batch) {
    append(batch);
    P2pException broken = failure;
    int closedRegion = batch.indexOfClosedRegion();
    if (broken != null) {
      batch.failUnposted(broken);
    } else if (closedRegion >= 0) {
      batch.failClosedRegion(closedRegion);
    }
    if (batch.isPosted()) {
      remove(batch);
      return;
    }
    if (cursor == null) {
      cursor = batch;
    }
    engine.schedule(this);
  }

  /** Hands operations to the channel while there are any and the window has room. */
  boolean pump() {
    boolean moved = false;
    while (cursor != null && hasRoom()) {
      OperationBatch batch = cursor;
      if (isRevoked(batch, batch.next())) {
        failRevoked(batch);
        moved = true;
        continue;
      }
      int taken =
          batch.nextOffset() == 0 && isWhole(batch, batch.next())
              ? postWhole(batch)
              : postPart(batch);
      if (taken == 0) {
        return moved;
      }
      moved = true;
      if (batch.isPosted()) {
        cursor = batch.nextLive;
      }
    }
    return moved;
  }

  boolean canPost() {
    return cursor != null && hasRoom();
  }

  private boolean hasRoom() {
    return inFlight < engine.window() && refusal == null;
  }

  private boolean isWhole(OperationBatch batch, int index) {
    return batch.operations().length(index) <= engine.maxOperationBytes();
  }

  private int postWhole(OperationBatch batch) {
    OpBuffer operations = batch.operations();
    TransferTable table = engine.transfers();
    int first = batch.next();
    int most = Math.min(engine.window() - inFlight, batch.count() - first);
    int count = 0;
    while (count < most
        && isWhole(batch, first + count)
        && (count == 0 || !isRevoked(batch, first + count))) {
      operations.setId(first + count, table.add(batch, first + count));
      count++;
    }
    int taken = channel.post(operations, first, count);
    for (int i = first + taken; i < first + count; i++) {
      table.remove(operations.id(i));
    }
    inFlight += taken;
    batch.posted(taken);
    return taken;
  }

  private int postPart(OperationBatch batch) {
    int index = batch.next();
    long offset = batch.nextOffset();
    long length = Math.min(engine.maxOperationBytes(), batch.operations().length(index) - offset);
    OpBuffer part = engine.part();
    part.setPart(0, batch.operations(), index, offset, length);
    long id = engine.transfers().add(batch, index);
    part.setId(0, id);
    int taken = channel.post(part, 0, 1);
    // It must not keep the memory of a region that is closed later.
    part.clear();
    if (taken == 0) {
      engine.transfers().remove(id);
    } else {
      inFlight++;
      batch.postedPart(length);
    }
    return taken;
  }

  private boolean isRevoked(OperationBatch batch, int index) {
    return !revoked.isEmpty() && revoked.contains(batch.operations().remoteIdx(index));
  }

  private void failRevoked(OperationBatch batch) {
    batch.failNext(
        new RemoteAccessException(
            "the peer has closed the region",
            detail(FailureDetail.NONE)
                .withRemedy("Ask the peer for a descriptor of a region that is open")));
    if (batch.isPosted()) {
      cursor = batch.nextLive;
      if (batch.outstanding() == 0) {
        remove(batch);
      }
    }
  }

  /** Operations, and parts of them, that the transport has and that use a region of the peer. */
  int inFlightTo(long idx) {
    return inFlight == 0 ? 0 : engine.transfers().count(this, idx);
  }

  /** Tells the peer that a region of this side is about to be closed; false if it cannot be. */
  boolean revoke(RegionName name) {
    return !closed
        && setup.peerHas(HandshakeTrailer.FEATURE_REVOKES)
        && link.send(ControlCodec.encodeRevoke(name.rid(), name.idx()));
  }

  /** How many operations, and parts of them, the transport has. */
  int inFlight() {
    return inFlight;
  }

  /** How many operations, and parts of them, the transport has reported. */
  long reports() {
    return reports;
  }

  /** The transport has reported an operation, or a part of one. */
  void completed(OperationBatch batch, int index, @Nullable P2pException cause) {
    inFlight--;
    reports++;
    if (revoked.isDraining()) {
      RevokedRegions.Drain drained = revoked.ended(batch.operations().remoteIdx(index));
      if (drained != null) {
        setup.answerDrained(drained.rid(), drained.idx());
      }
    }
    if (refusal != null && cause != null) {
      heldReports.add(new FailedReport(batch, index, cause));
    } else {
      reported(batch, index, cause);
    }
    if (cursor != null) {
      engine.schedule(this);
    }
  }

  private void reported(OperationBatch batch, int index, @Nullable P2pException cause) {
    if (batch.isLate()) {
      late--;
      engine.reportedLate(batch, index);
    } else {
      ended(batch, index, cause);
    }
  }

  private void ended(OperationBatch batch, int index, @Nullable P2pException cause) {
    if (cause == null) {
      batch.done(index);
    } else {
      P2pException first = failure;
      batch.failed(index, first != null ? first : cause);
    }
    if (batch.outstanding() == 0 && batch.isPosted()) {
      remove(batch);
    }
  }

  /**
   * The peer's network interface refused an operation, and that broke the channel. It may be the
   * first sign of the end of the peer's process, whose kernel takes its regions away before its
   * sockets. So the connection fails a little later, unless something else ends it until then.
   */
  void refused(P2pException cause) {
    if (!closed && refusal == null) {
      refusal = cause;
      refusalTime = System.nanoTime();
    }
  }

  /**
   * Ends the connection: what is queued fails now, what is in flight when the channel reports it,
   * or when its time for that is over.
   */
  void fail(P2pException cause) {
    if (closed) {
      return;
    }
    closed = true;
    closedTime = System.nanoTime();
    failure = cause;
    refusal = null;
    heldReports.forEach(report -> reported(report.batch(), report.index(), report.cause()));
    heldReports.clear();
    OperationBatch batch = cursor;
    cursor = null;
    while (batch != null) {
      OperationBatch following = batch.nextLive;
      failUnposted(batch, cause);
      batch = following;
    }
    try {
      channel.close();
    } finally {
      // A transport that is broken may throw once more.
      tellEnd(cause);
    }
  }

  private void tellEnd(P2pException cause) {
    setup.closeLinks();
    notifications.end();
    engine.gone(this);
    tellState(cause instanceof PeerLostException ? PeerState.LOST : PeerState.CLOSED);
    stateListeners.clear();
    closedListeners.forEach(listener -> engine.callBack(() -> listener.accept(cause)));
    closedListeners.clear();
    retireIfOver();
  }

  /** The peer is judged anew. */
  void peerState(PeerState state) {
    if (!closed) {
      tellState(state);
    }
  }

  private void tellState(PeerState state) {
    peerState = state;
    stateListeners.forEach(listener -> engine.callBack(() -> listener.accept(state)));
  }

  /** Ends what is overdue. */
  void checkDeadlines(long now) {
    P2pException refused = refusal;
    if (refused != null && now - refusalTime >= REFUSAL_NANOS) {
      setup.fail(refused);
    }
    if (firstLive == null) {
      return;
    }
    if (closed) {
      if (now - closedTime >= GRACE_NANOS) {
        giveUpAll(closedBecause(), true);
      }
      return;
    }
    for (OperationBatch batch = firstLive; batch != null && !closed; ) {
      OperationBatch following = batch.nextLive;
      if (batch.isExpired(now)) {
        expire(
            batch,
            "the deadline passed before the transfer ended",
            "Give it more time, or see whether the peer and the network work");
      }
      batch = following;
    }
    if (inFlight > 0 || cursor != null) {
      checkProgress(now);
    }
  }

  private void checkProgress(long now) {
    if (channel.progress() != progressSeen) {
      progressSeen = channel.progress();
      progressTime = now;
    }
    boolean waits = late == 0 && hasUnboundedInFlight();
    for (OperationBatch batch = firstLive; batch != null && !closed; ) {
      OperationBatch following = batch.nextLive;
      // A deadline of its own stands in place of this one. What is queued waits for what is in
      // flight and subject to this limit too; unless that has passed and changed nothing.
      if (!batch.isBounded()) {
        if ((batch.outstanding() > 0 || !waits)
            && batch.isStalled(now, progressTime, engine.stallNanos())) {
          expire(batch, noProgress(""), "Look whether the peer and the network still work");
        } else if (engine.expiry() == TransportCapabilities.Expiry.STAYS_IN_USE
            && batch.isOvertaken(now, engine.stallNanos())) {
          // Elsewhere an end is not lost alone: what goes wrong ends the channel.
          expire(
              batch,
              noProgress(" of it, while later operations ended"),
              "Look at the error counters of the network interface: it may have lost the completion");
        }
      }
      batch = following;
    }
  }

  private String noProgress(String more) {
    return "no progress for " + engine.stallNanos() / 1_000_000 + " ms" + more;
  }

  private boolean hasUnboundedInFlight() {
    for (OperationBatch b = firstLive; b != null; b = b.nextLive) {
      if (!b.isBounded() && b.outstanding() > 0) {
        return true;
      }
    }
    return false;
  }

  private void expire(OperationBatch batch, String why, String remedy) {
    DeadlineExceededException cause =
        new DeadlineExceededException(why, detail(FailureDetail.NONE).withRemedy(remedy));
    if (batch == cursor) {
      cursor = batch.nextLive;
    }
    if (failUnposted(batch, cause)) {
      return;
    }
    switch (engine.expiry()) {
      case CLOSES_CHANNEL -> fail(cause);
      case STAYS_IN_USE -> giveUp(batch, cause, true);
    }
  }

  /**
   * Ends a batch of which the transport still has something.
   *
   * @param inUse whether the transport may still touch its memory
   */
  private void giveUp(OperationBatch batch, P2pException cause, boolean inUse) {
    batch.giveUp(cause);
    if (!inUse) {
      batch.free();
    } else if (batch.isLate()) {
      late += batch.outstandingLate();
      engine.late().add(batch);
    }
    remove(batch);
  }

  private void giveUpAll(P2pException cause, boolean inUse) {
    while (firstLive != null) {
      giveUp(firstLive, cause, inUse);
    }
  }

  private P2pException closedBecause() {
    return Objects.requireNonNull(failure);
  }

  /** Fails what the transport does not have; returns true if that was the end of the batch. */
  private boolean failUnposted(OperationBatch batch, P2pException cause) {
    batch.failUnposted(cause);
    boolean over = batch.outstanding() == 0;
    if (over) {
      remove(batch);
    }
    return over;
  }

  /** Adds the operations of live batches that use a region. */
  void collect(RegionUses uses) {
    for (OperationBatch b = firstLive; b != null; b = b.nextLive) {
      b.collect(uses);
    }
  }

  /** Whether time may end something of it. */
  boolean hasDeadlines() {
    return firstLive != null || refusal != null;
  }

  /**
   * Ends everything at once, because the transport reports nothing any more.
   *
   * @param inUse whether it may still touch the memory of what it had
   */
  void abandon(P2pException cause, boolean inUse) {
    fail(cause);
    giveUpAll(closedBecause(), inUse);
  }

  private void append(OperationBatch batch) {
    batch.taken();
    batch.previousLive = lastLive;
    batch.nextLive = null;
    if (lastLive == null) {
      firstLive = batch;
    } else {
      lastLive.nextLive = batch;
    }
    lastLive = batch;
  }

  private void remove(OperationBatch batch) {
    OperationBatch before = batch.previousLive;
    OperationBatch after = batch.nextLive;
    if (before == null) {
      firstLive = after;
    } else {
      before.nextLive = after;
    }
    if (after == null) {
      lastLive = before;
    } else {
      after.previousLive = before;
    }
    batch.previousLive = null;
    batch.nextLive = null;
    reserved.addAndGet(-batch.count());
    batch.finish();
    retireIfOver();
  }

  private void retireIfOver() {
    if (closed && firstLive == null) {
      engine.retire(this);
    }
  }
}
