package io.uccl.p2p.engine;

import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerState;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.ChannelRole;
import io.uccl.p2p.spi.PendingChannel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One connection coming about, from the socket of the control channel to the moment when both sides
 * can post; and, after that, the tie between the control link and the connection.
 *
 * <pre>
 *   connector                                acceptor
 *   prepare
 *   handshake  ----------------------------> prepare, complete
 *   complete   <---------------------------- handshake
 *   channel ready                            channel ready
 *   READY      ----------------------------> accept returns
 *   connect returns
 * </pre>
 *
 * <p>The acceptor's handshake waits until its channel is ready, where the transport wants that.
 *
 * <p>A handshake without a trailer is a C++ engine's, if the transport shares that engine's. Such a
 * peer is called foreign here. It gets nothing but handshakes and notifications, so there is no
 * READY: this side is ready when the channel is and, as the acceptor, its answer is sent. Each side
 * dials the other's control port for the notifications to it:
 *
 * <pre>
 *   connector                                acceptor
 *   prepare
 *   handshake  ----------------------------> prepare, complete
 *              <---------------------------- dials, if it was told a port; silent until it has
 *   complete   <---------------------------- handshake                   a notification
 *   channel ready: connect returns           channel ready: accept returns
 * </pre>
 *
 * Only the owner of the transport uses it, where nothing else is said.
 */
final class ConnectionSetup {

  /** Answers that the peer has not read from which on it asks for too much: 2 MiB. */
  static final int MOST_ANSWERS = 64 << 10;

  private static final Logger LOG = LoggerFactory.getLogger(ConnectionSetup.class);

  private final DefaultP2pEngine engine;
  private final ControlLink link;
  private final ChannelRole role;
  private final boolean sharedByUs;
  private final CompletableFuture<DefaultConnection> result = new CompletableFuture<>();
  // Its own result, and those of attempts that gave way to it.
  private final List<CompletableFuture<DefaultConnection>> results = new ArrayList<>();
  // The peer's attempts at the same, which wait for what becomes of this one.
  private final List<ConnectionSetup> heldBack = new ArrayList<>();
  private long since = System.nanoTime();
  private @Nullable EndpointMetadata remote;
  private @Nullable HandshakeTrailer trailer;
  private @Nullable PendingChannel pending;
  private @Nullable Channel channel;
  private boolean channelReady;
  private boolean peerReady;
  private volatile @Nullable DefaultConnection connection;
  private volatile int peerFeatures;
  private volatile @Nullable NotificationSender sender;
  private final RevokedRegions revoked = new RevokedRegions();
  // Revocations that the owner has not looked at, and answers that the kernel has not taken.
  private final AtomicInteger asked = new AtomicInteger();
  private final AtomicInteger answers = new AtomicInteger();
  private long delivered;
  private boolean linked;
  private boolean over;
  private boolean shared;
  private byte @Nullable [] heldParameters;
  // Of the acceptor, until its channel is ready.
  private byte @Nullable [] heldAnswer;

  // -- of a foreign peer
  private boolean foreign;
  private boolean dialledBack;
  // What came before it was known whether it is the sender's, see arrived.
  private final List<Notification> early = new ArrayList<>(0);
  // On the accepting side.
  private @Nullable ForeignLink foreignLink;
  private @Nullable ControlLink notificationLink;

  // -- the control thread's
  private final NotificationPieces pieces = new NotificationPieces();
  private boolean distrusted;

  /** For an incoming link. */
  ConnectionSetup(DefaultP2pEngine engine, ControlLink link) {
    this.engine = engine;
    this.link = link;
    this.role = ChannelRole.ACCEPTOR;
    sharedByUs = false;
    results.add(result);
  }

  /**
   * For an outgoing link to a peer.
   *
   * @param shared whether both sides are to keep the connection
   */
  ConnectionSetup(
      DefaultP2pEngine engine, ControlLink link, EndpointMetadata remote, boolean shared) {
    this.engine = engine;
    this.link = link;
    this.role = ChannelRole.CONNECTOR;
    sharedByUs = shared;
    results.add(result);
    this.remote = remote;
  }

  /** What {@code connect} waits for. */
  CompletableFuture<DefaultConnection> result() {
    return result;
  }

  @Nullable DefaultConnection connection() {
    return connection;
  }

  /** True while it has not become a connection and not failed. */
  boolean isUnderWay() {
    return !over && connection == null;
  }

  /** True if both sides are to keep the connection with that peer, and it has not failed. */
  boolean isShared(EndpointMetadata peer, ChannelRole byRole) {
    return !over && role == byRole && (sharedByUs || shared) && peer.equals(remote);
  }

  boolean isIncoming() {
    return role == ChannelRole.ACCEPTOR;
  }

  /** When its time for the handshake began. */
  long since() {
    return since;
  }

  void restartTime(long now) {
    since = now;
  }

  /** True for a link that a foreign peer has dialled for notifications, for all that is known. */
  boolean isDialledBack() {
    return dialledBack;
  }

  void dialledBack(boolean is) {
    dialledBack = is;
  }

  /** Whether a handshake has come. */
  boolean hasShakenHands() {
    return trailer != null || foreign;
  }

  /** Whether the peer waits until this side's channel is ready. */
  boolean owesAnswer() {
    return heldAnswer != null;
  }

  /** Where the peer is, by its advertised address or else by its socket's. */
  InetAddress senderAddress() {
    return remote != null ? remote.address() : link.remote().getAddress();
  }

  /** The control thread's: notes what the peer can, before its next frame is looked at. */
  void announced(Handshake handshake) {
    HandshakeTrailer theirs = HandshakeTrailer.split(handshake.parameters()).trailer();
    if (theirs != null) {
      peerFeatures = theirs.features();
    }
  }

  /** Whether the peer has announced a feature; false before its handshake. Any thread. */
  boolean peerHas(int feature) {
    return (peerFeatures & feature) == feature;
  }

  /** The control thread's: the notification that is coming in pieces. */
  NotificationPieces pieces() {
    return pieces;
  }

  /** The control thread's: the peer broke the protocol, and is not listened to any more. */
  void distrust() {
    distrusted = true;
  }

  boolean isDistrusted() {
    return distrusted;
  }

  /** Sends the connection's notifications; null before there is a connection. Any thread. */
  @Nullable NotificationSender sender() {
    return sender;
  }

  /** A notification has come on this link. It was counted already. */
  void arrived(Notification notification) {
    ConnectionSetup sender = hasShakenHands() || !isIncoming() ? this : foreignSender();
    if (foreignLink != null) {
      sender = foreignLink.only();
    }
    if (sender == null) {
      engine.deliver(null, notification);
    } else if (sender.isUnderWay() && engine.sharesHandshake() && sender.trailer == null) {
      // It dials back before it answers, so its first notification may come before its answer.
      sender.early.add(notification);
    } else {
      engine.deliver(sender.connection, notification);
    }
    delivered();
  }

  /** Whose notification it is that came without a handshake: null if that cannot be told. */
  private @Nullable ConnectionSetup foreignSender() {
    return engine.sharesHandshake() ? engine.foreignPeers().onlyAt(senderAddress()) : null;
  }

  /** What came early was the peer's that is known now, or not. */
  private void deliverEarly() {
    early.forEach(each -> engine.deliver(foreign ? connection : null, each));
    early.clear();
  }

  /** A notification of this link has been delivered. */
  private void delivered() {
    delivered++;
    if (peerHas(HandshakeTrailer.FEATURE_PIECES)) {
      link.sendLatest(ControlCodec.encodeAck(delivered));
    }
  }

  /**
   * The control thread's: counts a revocation that {@link #revoked} is to look at; false if the
   * peer has not read enough of the answers so far.
   */
  boolean mayAsk() {
    return asked.incrementAndGet() + answers.get() <= MOST_ANSWERS;
  }

  /** The peer is about to close a region. */
  void revoked(int rid, long idx) {
    asked.decrementAndGet();
    if (trailer == null || trailer.life() != (int) (idx >>> 32)) {
      protocolError(
          "it revoked region "
              + Integer.toUnsignedString(rid)
              + " of life "
              + Integer.toHexString((int) (idx >>> 32))
              + ", which is not its own");
      return;
    }
    DefaultConnection made = connection;
    if (revoked.add(rid, idx, made == null ? 0 : made.inFlightTo(idx))) {
      answerDrained(rid, idx);
    }
  }

  /** Tells the peer that nothing of this side uses a region that it revoked. */
  void answerDrained(int rid, long idx) {
    answers.incrementAndGet();
    link.send(ControlCodec.encodeDrained(rid, idx), answers::decrementAndGet);
  }

  /** The peer says that nothing of its side uses a region that this side revoked. */
  void drained(int rid, long idx) {
    if (connection != null) {
      engine.drained(connection, rid, idx);
    }
  }

  /** The connector's socket is connected: starts the handshake. */
  void linkConnected() {
    if (over) {
      return;
    }
    linked = true;
    try {
      link.send(engine.handshake(pending().parameters(), sharedByUs));
    } catch (P2pException e) {
      fail(located(e));
    }
  }

  /** What came is no handshake that this engine can take; tells the sender if it understands. */
  void refuse(HandshakeException cause, boolean understands) {
    if (isIncoming() && understands && !over && foreignLink == null) {
      link.send(ControlCodec.encodeRefused(cause.summary()));
    }
    failLink(cause.withDetail(detail().withRemedy(cause.detail().remedy())));
  }

  /**
   * The peer does not want the connection. This side may have had it for a moment, since the
   * connector does not hear whether its READY arrived.
   */
  void refused(String reason) {
    failLink(
        connection == null
            ? new HandshakeException("the peer refused the connection: " + reason, detail())
            : new PeerLostException("the peer ended the connection: " + reason, detail()));
  }

  /** The peer's handshake has come. */
  void handshake(Handshake received) {
    HandshakeTrailer.Split split = HandshakeTrailer.split(received.parameters());
    if (foreignLink != null) {
      anotherForeign(foreignLink, received, split.trailer());
      return;
    }
    if (over) {
      return;
    }
    if (hasShakenHands()) {
      protocolError("it sent a second handshake on one connection");
      return;
    }
    trailer = split.trailer();
    if (trailer == null && engine.sharesHandshake()) {
      foreign(received, new ForeignLink(link));
      return;
    }
    engine.isNotForeign(this);
    deliverEarly();
    if (trailer == null || !trailer.sendsReady()) {
      protocolError("its handshake has no trailer, so it is no JVM engine");
      return;
    }
    if (trailer.life() == engine.life()) {
      fail(
          new HandshakeException(
              "the handshake that came is this engine's own: the peer is this engine itself, or"
                  + " something that echoes",
              detail().withRemedy("Check the peer's address and port")));
      return;
    }
    if (role == ChannelRole.ACCEPTOR) {
      remote =
          trailer.sender() != null
              ? trailer.sender()
              : new EndpointMetadata(link.remote().getAddress(), received.controlPort(), "");
      if (engine.isPassive() && trailer.has(HandshakeTrailer.FEATURE_SHARED)) {
        shared = true;
        ConnectionSetup own = engine.shared(remote, ChannelRole.CONNECTOR);
        if (own != null && own.isUnderWay()) {
          // An attempt that has no socket yet may never get one, so it holds nobody back.
          if (own.linked && Integer.compareUnsigned(engine.life(), trailer.life()) < 0) {
            own.heldBack.add(this);
            heldParameters = split.parameters();
            return;
          }
          own.giveWayTo(this);
        }
      }
    }
    answer(split.parameters());
  }

  /** Another handshake has come on a link where a foreign peer has shaken hands. */
  private void anotherForeign(
      ForeignLink from, Handshake received, @Nullable HandshakeTrailer itsTrailer) {
    if (from.isOver()) {
      return;
    }
    if (itsTrailer != null) {
      protocolError("it sent handshakes with and without a trailer on one connection");
      return;
    }
    ConnectionSetup next = new ConnectionSetup(engine, link);
    engine.incoming(next);
    if (!next.over) {
      next.foreign(received, from);
    }
  }

  /** The handshake of a foreign peer has come; with its parameters alone. */
  private void foreign(Handshake received, ForeignLink from) {
    foreign = true;
    if (role == ChannelRole.ACCEPTOR) {
      remote = new EndpointMetadata(link.remote().getAddress(), received.controlPort(), "");
      foreignLink = from;
      from.add(this);
      engine.isForeign(this);
    }
    answer(received.parameters());
  }

  /** The kernel has the answer to a foreign peer's handshake. */
  private void answered() {
    peerReady = true;
    finishIfReady();
  }

  /** Dials what a foreign peer listens on, for the notifications to it. */
  private void dialForNotifications() {
    InetSocketAddress control = remote().socketAddress();
    if (control.getPort() != 0) {
      notificationLink = engine.dial(control, this);
    }
    NotificationSender mine = new NotificationSender(notificationLink, false);
    sender = mine;
    if (control.getPort() == 0) {
      mine.end(
          new PeerUnreachableException(
              "the peer's handshake names no control port, so it takes no notifications",
              detail().withRemedy("Let this side connect to the peer")));
    }
  }

  /** Whether notifications have a link of their own. Any thread that has the connection. */
  boolean dialsForNotifications() {
    return notificationLink != null;
  }

  /** No link for notifications to a foreign peer came about. All else works without it. */
  void notificationLinkFailed(@Nullable IOException cause) {
    endNotifications(
        new PeerUnreachableException(
            "the peer's control port cannot be dialled, so it takes no notifications"
                + (cause == null ? "" : ": " + DefaultP2pEngine.text(cause)),
            detail().withRemedy("Check that nothing filters the port " + remote().port()),
            cause));
  }

  /** The foreign peer has closed the link for notifications to it, or this side has. */
  void notificationLinkEnded(@Nullable IOException cause) {
    if (cause != null) {
      linkEnded(cause);
    }
  }

  /** The foreign peer has sent something where nothing is due: on the link for notifications. */
  void notificationLinkMisused() {
    endNotifications(
        new HandshakeException(
            "the peer does not keep the protocol: it sent a frame on the connection that this side"
                + " dialled for notifications",
            detail()));
    if (notificationLink != null) {
      notificationLink.close();
    }
  }

  private void endNotifications(P2pException cause) {
    if (sender != null) {
      sender.end(cause);
    }
  }

  private EndpointMetadata remote() {
    if (remote == null) {
      throw new IllegalStateException("the peer is not known before its handshake");
    }
    return remote;
  }

  /** Takes the transport's parameters of the peer, and on the accepting side sends its own. */
  private void answer(byte[] parameters) {
    try {
      PendingChannel mine = pending();
      if (role == ChannelRole.ACCEPTOR) {
        // Taken before complete: that ends the pending channel's own life.
        byte[] answer = engine.handshake(mine.parameters(), false);
        complete(mine, parameters);
        if (foreign) {
          // At once: it takes the answers in the order of its handshakes.
          dialForNotifications();
          link.send(answer, () -> engine.loop().run(() -> attempt(this::answered)));
        } else if (mine.answersWhenReady()) {
          heldAnswer = answer;
        } else {
          link.send(answer);
        }
      } else {
        complete(mine, parameters);
      }
    } catch (P2pException e) {
      fail(located(e));
    }
  }

  /** The peer's READY has come. */
  void peerReady() {
    if (role != ChannelRole.ACCEPTOR || trailer == null || peerReady) {
      protocolError("it sent READY where none is due");
      return;
    }
    peerReady = true;
    finishIfReady();
  }

  /** The control channel judges the peer anew. */
  void peerState(PeerState state) {
    if (connection != null) {
      connection.peerState(state);
    }
  }

  /** The peer has sent what it must not send. */
  void protocolError(String what) {
    failLink(
        new HandshakeException(
            "the peer does not keep the protocol: " + what,
            detail().withRemedy("Use the same version of the engine on both sides")));
  }

  /** The transport says that the channel can carry operations. */
  void channelReady() {
    channelReady = true;
    if (heldAnswer != null) {
      link.send(heldAnswer);
      heldAnswer = null;
    }
    if (role == ChannelRole.CONNECTOR) {
      if (!foreign) {
        link.send(ControlCodec.encodeReady());
      }
      peerReady = true;
    }
    finishIfReady();
  }

  /** The control link has ended, and with it all whose handshakes came on it. */
  void linkClosed(@Nullable IOException cause) {
    if (foreignLink == null) {
      linkEnded(cause);
    } else {
      foreignLink.peers().forEach(each -> each.linkEnded(cause));
    }
  }

  private void linkEnded(@Nullable IOException cause) {
    String why = cause == null ? "" : ": " + DefaultP2pEngine.text(cause);
    if (connection != null) {
      fail(new PeerLostException("the control connection ended" + why, detail(), cause));
    } else {
      fail(
          new PeerUnreachableException(
              "no connection came about" + why,
              detail().withRemedy("Check that the peer runs and that address and port are its own"),
              cause));
    }
  }

  /** What came on the link costs all whose handshakes came on it. */
  private void failLink(P2pException cause) {
    if (foreignLink == null) {
      fail(cause);
    } else {
      foreignLink.peers().forEach(each -> each.fail(cause));
    }
  }

  /** Closes what only this connection uses of its control links. */
  void closeLinks() {
    if (notificationLink != null) {
      notificationLink.close();
    }
    if (foreignLink != null) {
      foreignLink.remove(this);
    } else {
      link.close();
    }
  }

  /** Ends it at once: its socket does not wait until the peer has read what was sent. */
  void cut(P2pException cause) {
    fail(cause);
    link.close();
  }

  /** The channel has failed, and with it this, or the connection that it became. */
  void channelFailed(P2pException cause) {
    if (connection != null && cause instanceof RemoteAccessException) {
      connection.refused(cause);
    } else {
      fail(connection == null ? located(cause) : cause);
    }
  }

  /**
   * Does something for it. What fails in a way that is not foreseen, or for want of memory, costs
   * this connection, not the engine.
   */
  void attempt(Runnable action) {
    try {
      action.run();
    } catch (RuntimeException | OutOfMemoryError e) {
      LOG.error("a connection fails", e);
      fail(new TransportException("the connection failed: " + OneLine.of(e), detail(), e));
    }
  }

  /** Ends it, or the connection that it became. The first cause stays. */
  void fail(P2pException cause) {
    if (over) {
      return;
    }
    if (connection != null) {
      over = true;
      engine.forget(this, channel);
      connection.fail(cause);
      return;
    }
    ConnectionSetup theirs =
        sharedByUs && remote != null ? engine.shared(remote, ChannelRole.ACCEPTOR) : null;
    if (theirs != null) {
      giveWayTo(theirs);
      return;
    }
    abort(cause);
    results.forEach(each -> each.completeExceptionally(cause));
  }

  /** The peer's attempt at the same takes the place of this one: its result is this one's too. */
  private void giveWayTo(ConnectionSetup theirs) {
    if (over) {
      return;
    }
    abort(anotherWasMade());
    DefaultConnection made = theirs.connection;
    if (made != null) {
      results.forEach(each -> each.complete(made));
    } else {
      theirs.results.addAll(results);
    }
    heldBack.remove(theirs);
    heldBack.forEach(held -> held.fail(anotherWasMade()));
    if (theirs.heldParameters != null) {
      theirs.goOn();
    }
  }

  /** It was held back and is not any more. */
  private void goOn() {
    byte[] parameters = heldParameters;
    heldParameters = null;
    if (parameters != null && !over) {
      answer(parameters);
    }
  }

  private HandshakeException anotherWasMade() {
    return new HandshakeException(
        "both sides connected at the same moment, and another connection was made",
        detail().withRemedy("Use the connection that addPeer returns"));
  }

  /** Frees all that it has, and closes the link. */
  private void abort(P2pException cause) {
    over = true;
    engine.forget(this, channel);
    if (pending != null) {
      pending.abort();
    }
    if (channel != null) {
      channel.close();
    }
    deliverEarly();
    if (foreignLink != null) {
      closeLinks();
      foreignLink.close();
      return;
    }
    if (isIncoming() && trailer != null) {
      link.send(ControlCodec.encodeRefused(cause.summary()));
    }
    if (linked || isIncoming()) {
      link.closeAfterSending();
    } else {
      // It may never connect, so there is no sending to wait for.
      link.close();
    }
  }

  /** A transport does not know whom its parameters came from. */
  private P2pException located(P2pException cause) {
    FailureDetail known = cause.detail();
    return known.peer().isEmpty() ? cause.withDetail(known.withPeer(detail().peer())) : cause;
  }

  FailureDetail detail() {
    FailureDetail known = FailureDetail.NONE.withTransport(engine.transport().name());
    return known.withPeer(
        remote != null
            ? remote.toString()
            : link.remote().getAddress().getHostAddress() + ":" + link.remote().getPort());
  }

  private PendingChannel pending() {
    if (pending == null) {
      pending = engine.prepare(role);
    }
    return pending;
  }

  private void complete(PendingChannel mine, byte[] parameters) {
    channel = mine.complete(parameters);
    engine.expect(channel, this);
  }

  private void finishIfReady() {
    if (over || connection != null || !channelReady || !peerReady) {
      return;
    }
    if (channel == null || remote == null || !hasShakenHands()) {
      throw new IllegalStateException("a channel is ready before the handshake was");
    }
    NotificationSender mine =
        sender != null
            ? sender
            : new NotificationSender(link, peerHas(HandshakeTrailer.FEATURE_PIECES));
    sender = mine;
    int life = trailer == null ? 0 : trailer.life();
    connection = new DefaultConnection(engine, remote, life, channel, link, mine, revoked, this);
    engine.established(connection, role);
    deliverEarly();
    if (peerHas(HandshakeTrailer.FEATURE_HEARTBEATS)) {
      link.watch(remote.socketAddress());
    }
    DefaultConnection made = connection;
    if (shared) {
      ConnectionSetup own = engine.shared(remote, ChannelRole.CONNECTOR);
      if (own != null && own.isUnderWay()) {
        own.giveWayTo(this);
      }
    }
    results.forEach(each -> each.complete(made));
    heldBack.forEach(held -> held.fail(anotherWasMade()));
  }
}
