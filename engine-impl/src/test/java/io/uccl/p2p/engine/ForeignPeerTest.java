package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerState;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.Transfer;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Peers that send no trailer, as the C++ engine, with plain sockets as the peer and a transport
 * that carries nothing.
 */
@Timeout(120)
class ForeignPeerTest {

  private static final Duration WAIT = Duration.ofSeconds(30);
  private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();
  private static final byte[] ADDRESS = {1, 2, 3, 4, 5, 6, 7, 8};
  private static final Notification NEWS = Notification.of("news", new byte[] {1, 0, 2});

  @RegisterExtension final Opened opened = new Opened();
  private final HeldTransport transport = new HeldTransport();
  private DefaultP2pEngine engine;
  private ServerSocket control;

  @BeforeEach
  void open() throws IOException {
    transport.sharesHandshake = true;
    engine =
        opened.closing(
            DefaultP2pEngine.open(
                EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")), transport.selection()));
    control = opened.closing(new ServerSocket(0, 100, LOOPBACK));
    control.setSoTimeout(30_000);
  }

  // -- the peer

  private byte[] handshake(int port) {
    return new Handshake(transport.handshakeMagic(), 3, port, ADDRESS).encode();
  }

  private byte[] handshake() {
    return handshake(control.getLocalPort());
  }

  private EndpointMetadata metadata() {
    return new EndpointMetadata(LOOPBACK, control.getLocalPort(), "");
  }

  private Socket dial() throws IOException {
    Socket socket = opened.closing(new Socket());
    socket.connect(engine.metadata().socketAddress());
    socket.setSoTimeout(30_000);
    return socket;
  }

  private Socket dialled() throws IOException {
    Socket socket = opened.closing(control.accept());
    socket.setSoTimeout(30_000);
    return socket;
  }

  private Handshake readHandshake(Socket socket) throws IOException {
    return Handshake.decode(
        ByteBuffer.wrap(FakePeer.readFrame(socket)), transport.handshakeMagic(), Map.of());
  }

  /** A peer that has connected: its own link, and what the engine dialled for notifications. */
  private record Incoming(Socket own, Socket dialled, Connection connection) {}

  private Incoming join() throws IOException, InterruptedException {
    Socket own = dial();
    FakePeer.writeFrame(own, handshake());
    Socket dialled = dialled();
    readHandshake(own);
    return new Incoming(own, dialled, engine.accept(WAIT));
  }

  /** A peer that the engine connects to: the engine's link, and the one that the peer dialled. */
  private record Outgoing(Socket link, Socket dialledBack, Connection connection) {}

  private Outgoing connect() throws Exception {
    CompletableFuture<Connection> connecting = connecting();
    Socket link = dialled();
    readHandshake(link);
    Socket back = dial();
    FakePeer.writeFrame(link, handshake());
    return new Outgoing(link, back, connecting.get());
  }

  private CompletableFuture<Connection> connecting() {
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            return engine.connect(metadata(), WAIT);
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
        });
  }

  private static void assertEnded(Socket socket) throws IOException {
    assertThat(socket.getInputStream().read()).as("ended by the engine").isEqualTo(-1);
  }

  private void lookAfterTheLimit() {
    long later = System.nanoTime() + IncomingSetups.HANDSHAKE_NANOS + 1_000_000_000;
    engine
        .loop()
        .call(
            () -> {
              incoming().expire(later);
              return true;
            });
  }

  private IncomingSetups incoming() {
    return (IncomingSetups) field("incoming");
  }

  private Object field(String name) {
    try {
      Field field = DefaultP2pEngine.class.getDeclaredField(name);
      field.setAccessible(true);
      return field.get(engine);
    } catch (ReflectiveOperationException e) {
      throw new LinkageError(e.getMessage(), e);
    }
  }

  private int withBound() {
    return engine.loop().<Integer>call(() -> incoming().size());
  }

  private int setups() {
    return engine.loop().<Integer>call(() -> ((List<?>) field("setups")).size());
  }

  // -- connecting to it

  @Test
  void anAnswerWithoutATrailerMakesAConnectionAndNothingButNotificationsFollows() throws Exception {
    Outgoing peer = connect();
    assertThat(peer.connection.remote()).isEqualTo(metadata());
    assertThat(peer.connection.peerState()).isEqualTo(PeerState.CONNECTED);
    MemoryRegion region = engine.register(ByteBuffer.allocateDirect(64));
    region.advertise();
    region.close();
    byte[] longest = new byte[1 << 20];
    assertThat(peer.connection.sendNotification(Notification.of("n", longest)))
        .isEqualTo(PostResult.POSTED);
    assertThat(FakePeer.readFrame(peer.link))
        .as("the first frame after the handshake, in one piece")
        .isEqualTo(ControlCodec.encode(Notification.of("n", longest)));
    assertThat(peer.connection.flushNotifications(WAIT)).isTrue();
    peer.connection.close();
    assertEnded(peer.link);
  }

  @Test
  void itsDescriptorsNeedNoLifeAndNoEpoch() throws Exception {
    Outgoing peer = connect();
    MemoryRegion region = engine.register(ByteBuffer.allocateDirect(64));
    Transfer transfer =
        peer.connection.write(
            region, 0, FifoDescriptor.of(0x1000, 64, 7, 0xA5A5A5A5, -1, 0x1000, 9, 64));
    transport.report(transport.taken.take());
    transfer.await();
    transfer = peer.connection.read(region, 0, FifoDescriptor.of(0x1000, 64, 0, 0, 0, 1, 2, 3));
    transport.report(transport.taken.take());
    transfer.await();
  }

  @Test
  void whatItDialledBackMayBeSilentForAsLongAsItIsConnected() throws Exception {
    Outgoing peer = connect();
    until("it is there", () -> setups() == 2);
    assertThat(withBound()).as("links that are counted").isZero();
    lookAfterTheLimit();
    FakePeer.writeFrame(peer.dialledBack, ControlCodec.encode(NEWS));
    ReceivedNotification received = engine.takeNotification(WAIT);
    assertThat(received.notification()).isEqualTo(NEWS);
    assertThat(received.from()).isSameAs(peer.connection);

    peer.connection.close();
    assertThat(withBound()).as("links that are counted").isEqualTo(1);
    FakePeer.writeFrame(peer.dialledBack, ControlCodec.encode(NEWS));
    assertThat(engine.takeNotification(WAIT).from()).isNull();
    lookAfterTheLimit();
    assertEnded(peer.dialledBack);
  }

  @Test
  void ofManySilentLinksFromItsAddressSomeStayAndTheRestHasTheLimit() throws Exception {
    Outgoing peer = connect();
    List<Socket> silent = new ArrayList<>();
    for (int i = 0; i < IncomingSetups.MOST_DIALLED_BACK + 2; i++) {
      silent.add(dial());
    }
    until("three are too many", () -> withBound() == 3);
    lookAfterTheLimit();
    for (Socket late : silent.subList(silent.size() - 3, silent.size())) {
      assertEnded(late);
    }
    assertThat(peer.connection.isOpen()).isTrue();
    assertThat(withBound()).isZero();
  }

  @Test
  void linksThatLoseTheirPeerBecauseOneMoreCameAreAtMostAsManyAsAreCounted() throws Exception {
    assumeTrue(
        ConnectionSetupTest.descriptorLimit() > 2L * IncomingSetups.MOST + 700,
        "the process may not open so many descriptors");
    transport.silent = true;
    Socket oldest = dial();
    FakePeer.writeFrame(oldest, handshake());
    readHandshake(oldest);
    for (int i = 0; i < IncomingSetups.MOST_DIALLED_BACK; i++) {
      dial();
    }
    until("they are there", () -> setups() == IncomingSetups.MOST_DIALLED_BACK + 1);
    assertThat(withBound()).as("links that are counted").isEqualTo(1);
    for (int i = 0; i < IncomingSetups.MOST; i++) {
      dial();
    }
    assertEnded(oldest);
    until("all are there", () -> setups() == IncomingSetups.MOST);
    assertThat(withBound()).isEqualTo(IncomingSetups.MOST);
  }

  @Test
  void aHandshakeOnASilentLinkHasTheLimit() throws Exception {
    connect();
    Socket halfway = dial();
    HandshakeTrailer trailer =
        HandshakeTrailer.of(
            7, HandshakeTrailer.FEATURE_READY, new EndpointMetadata(LOOPBACK, 1, ""));
    FakePeer.writeFrame(
        halfway,
        new Handshake(
                transport.handshakeMagic(), 0, 1, HandshakeTrailer.append(new byte[] {1}, trailer))
            .encode());
    readHandshake(halfway);
    assertThat(withBound()).isEqualTo(1);
    lookAfterTheLimit();
    assertThat(ControlCodec.decodeRefused(ByteBuffer.wrap(FakePeer.readFrame(halfway))))
        .contains("did not finish its handshake in time");
  }

  @Test
  void aNotificationThatOvertakesTheAnswerIsThePeers() throws Exception {
    CompletableFuture<Connection> connecting = connecting();
    Socket link = dialled();
    readHandshake(link);
    FakePeer.writeFrame(dial(), ControlCodec.encode(NEWS));
    until("it has come", () -> engine.inboxBudget().used() > 0);
    FakePeer.writeFrame(link, handshake());
    ReceivedNotification received = engine.takeNotification(WAIT);
    assertThat(received.from()).isSameAs(connecting.get());
  }

  @Test
  void aNotificationIsDeliveredThoughTheAttemptFails() throws Exception {
    CompletableFuture<Connection> connecting = connecting();
    Socket link = dialled();
    readHandshake(link);
    FakePeer.writeFrame(dial(), ControlCodec.encode(NEWS));
    until("it has come", () -> engine.inboxBudget().used() > 0);
    link.close();
    assertThatThrownBy(connecting::get)
        .isInstanceOf(ExecutionException.class)
        .hasCauseInstanceOf(PeerUnreachableException.class);
    assertThat(engine.takeNotification(WAIT).from()).isNull();
  }

  @Test
  void ofTwoPeersAtOneAddressANotificationDoesNotSayWhichSentIt() throws Exception {
    Outgoing first = connect();
    Outgoing second = connect();
    FakePeer.writeFrame(first.dialledBack, ControlCodec.encode(NEWS));
    assertThat(engine.takeNotification(WAIT).from()).isNull();
    first.connection.close();
    FakePeer.writeFrame(first.dialledBack, ControlCodec.encode(NEWS));
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(second.connection);
  }

  @Test
  void aNotificationIsDeliveredWhoeverSendsIt() throws Exception {
    FakePeer.writeFrame(dial(), ControlCodec.encode(NEWS));
    ReceivedNotification received = engine.takeNotification(WAIT);
    assertThat(received.from()).isNull();
    assertThat(received.notification()).isEqualTo(NEWS);
  }

  @Test
  void aSecondAnswerEndsTheConnection() throws Exception {
    Outgoing peer = connect();
    FakePeer.writeFrame(peer.link, handshake());
    assertEnded(peer.link);
    until("the end", () -> !peer.connection.isOpen());
    assertThat(peer.connection.failure()).hasMessageContaining("second handshake");
  }

  // -- taking its connection

  @Test
  void aHandshakeWithoutATrailerIsAnsweredAndItsPortDialledForNotifications() throws Exception {
    Socket own = dial();
    FakePeer.writeFrame(own, handshake());
    Socket dialled = dialled();
    Handshake answer = readHandshake(own);
    assertThat(answer.controlPort()).isEqualTo(engine.metadata().port());
    Connection connection = engine.accept(WAIT);
    assertThat(connection.remote()).isEqualTo(metadata());
    assertThat(withBound()).isZero();
    FakePeer.writeFrame(own, ControlCodec.encode(NEWS));
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(connection);

    connection.sendNotification(NEWS);
    assertThat(FakePeer.readFrame(dialled)).isEqualTo(ControlCodec.encode(NEWS));
    assertThat(connection.flushNotifications(WAIT)).isTrue();
    connection.close();
    assertEnded(dialled);
    // Nothing but the answer has come here.
    assertEnded(own);
  }

  @Test
  void whereItsPortIsNoneNotificationsFailAndTransfersWork() throws Exception {
    Socket own = dial();
    FakePeer.writeFrame(own, handshake(0));
    readHandshake(own);
    Connection connection = engine.accept(WAIT);
    assertNoNotifications(connection, "names no control port");
  }

  @Test
  void whereItsPortCannotBeDialledNotificationsFailAndTransfersWork() throws Exception {
    control.close();
    Socket own = dial();
    FakePeer.writeFrame(own, handshake());
    readHandshake(own);
    Connection connection = engine.accept(WAIT);
    until(
        "it is noticed",
        () -> {
          try {
            connection.sendNotification(NEWS);
            return false;
          } catch (PeerUnreachableException e) {
            return e.getMessage().contains("refused");
          }
        });
    assertNoNotifications(connection, "cannot be dialled");
  }

  private void assertNoNotifications(Connection connection, String why) throws Exception {
    MemoryRegion region = engine.register(ByteBuffer.allocateDirect(64));
    Transfer transfer = connection.write(region, 0, FakePeer.descriptor(64));
    assertThatThrownBy(() -> connection.sendAfter(transfer, NEWS))
        .isInstanceOf(PeerUnreachableException.class)
        .hasMessageContaining(why);
    assertThatThrownBy(() -> connection.sendNotification(NEWS))
        .isInstanceOf(PeerUnreachableException.class)
        .hasMessageContaining(why)
        .hasMessageContaining(connection.remote().toString());
    transport.report(transport.taken.take());
    transfer.await();
    assertThat(connection.isOpen()).isTrue();
  }

  @Test
  void twoHandshakesInOneSegmentAreTwoPeers() throws Exception {
    Socket own = dial();
    ByteArrayOutputStream both = new ByteArrayOutputStream();
    for (int port : new int[] {control.getLocalPort(), 0}) {
      byte[] payload = handshake(port);
      new DataOutputStream(both).writeInt(payload.length);
      both.writeBytes(payload);
    }
    own.getOutputStream().write(both.toByteArray());
    readHandshake(own);
    readHandshake(own);
    Connection first = engine.accept(WAIT);
    Connection second = engine.accept(WAIT);
    assertThat(List.of(first.remote().port(), second.remote().port()))
        .containsExactlyInAnyOrder(control.getLocalPort(), 0);
    FakePeer.writeFrame(own, ControlCodec.encode(NEWS));
    assertThat(engine.takeNotification(WAIT).from()).as("of which it is not said").isNull();

    first.close();
    FakePeer.writeFrame(own, handshake());
    readHandshake(own);
    Connection third = engine.accept(WAIT);
    second.close();
    FakePeer.writeFrame(own, ControlCodec.encode(NEWS));
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(third);
    third.close();
    assertEnded(own);
  }

  @Test
  void theEndOfALinkIsTheLossOfAllThatShookHandsOnIt() throws Exception {
    Incoming first = join();
    FakePeer.writeFrame(first.own, handshake());
    readHandshake(first.own);
    Connection second = engine.accept(WAIT);
    BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
    first.connection.onClosed(ends::add);
    second.onClosed(ends::add);
    first.own.close();
    for (int i = 0; i < 2; i++) {
      assertThat(ends.poll(30, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
    }
    assertThat(first.connection.peerState()).isEqualTo(PeerState.LOST);
    assertThat(second.peerState()).isEqualTo(PeerState.LOST);
    assertEnded(first.dialled);
  }

  @Test
  void theEndOfTheLinkForNotificationsIsALoss() throws Exception {
    Incoming peer = join();
    BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
    peer.connection.onClosed(ends::add);
    peer.dialled.close();
    assertThat(ends.poll(30, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
    assertEnded(peer.own);
  }

  @Test
  void whatComesOnTheLinkForNotificationsEndsOnlyThat() throws Exception {
    Incoming peer = join();
    FakePeer.writeFrame(peer.dialled, ControlCodec.encode(NEWS));
    assertEnded(peer.dialled);
    assertThatThrownBy(() -> peer.connection.sendNotification(NEWS))
        .isInstanceOf(HandshakeException.class)
        .hasMessageContaining("dialled for notifications");
    FakePeer.writeFrame(peer.own, ControlCodec.encode(NEWS));
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(peer.connection);
  }

  @ParameterizedTest
  @ValueSource(strings = {"ready", "heartbeat", "ack", "refused", "trailer", "short", "version"})
  void aBadFrameCostsItsLinkOnlyAndIsNotAnswered(String name) throws Exception {
    Incoming other = join();
    Incoming peer = join();
    byte[] bad =
        switch (name) {
          case "ready" -> ControlCodec.encodeReady();
          case "heartbeat" -> ControlCodec.encodeHeartbeat();
          case "ack" -> ControlCodec.encodeAck(0);
          case "refused" -> ControlCodec.encodeRefused("no");
          case "trailer" ->
              new Handshake(
                      transport.handshakeMagic(),
                      0,
                      1,
                      HandshakeTrailer.append(ADDRESS, HandshakeTrailer.of(7, 1, null)))
                  .encode();
          case "short" -> new byte[] {1, 2, 3};
          default -> {
            byte[] changed = handshake();
            changed[4] = 2;
            yield changed;
          }
        };
    FakePeer.writeFrame(peer.own, bad);
    assertEnded(peer.own);
    assertEnded(peer.dialled);
    until("the end", () -> !peer.connection.isOpen());
    FakePeer.writeFrame(other.own, ControlCodec.encode(NEWS));
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(other.connection);
  }

  @Test
  void nothingIsLeftOfPeersThatCameAndWent() throws Exception {
    Incoming in = join();
    Outgoing out = connect();
    in.own.close();
    out.link.close();
    out.dialledBack.close();
    until("no setup", () -> setups() == 0 && withBound() == 0);
    boolean known = engine.loop().<Boolean>call(() -> engine.foreignPeers().isAt(LOOPBACK));
    assertThat(known).isFalse();
  }
}
