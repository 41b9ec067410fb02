package io.uccl.p2p.peers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferStatus;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** How peers are kept, and what is told about them. */
class PeersTest {

  private static final Duration PATIENCE = Duration.ofSeconds(20);
  private static final EngineConfig CONFIG =
      EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp");

  private final P2pEngine here = P2pEngine.open(CONFIG);
  private final P2pEngine there = P2pEngine.open(CONFIG);

  @AfterEach
  void close() {
    here.close();
    there.close();
  }

  @Test
  void addingAPeerTwiceGivesOneConnection() throws InterruptedException {
    Connection first = here.addPeer(there.metadata(), PATIENCE);
    assertThat(here.addPeer(there.metadata(), PATIENCE)).isSameAs(first);
  }

  @Test
  void threadsThatAddAPeerAtTheSameTimeGetOneConnection() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try {
      List<Callable<Connection>> calls = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        calls.add(() -> here.addPeer(there.metadata(), PATIENCE));
      }
      Set<Connection> connections = new HashSet<>();
      for (Future<Connection> each : threads.invokeAll(calls)) {
        connections.add(each.get());
      }
      assertThat(connections).hasSize(1);
      assertThat(there.accept(PATIENCE)).isNotNull();
      assertThat(there.accept(Duration.ofMillis(1))).isNull();
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void aPeerThatConnectedIsFoundAfterPassiveAccept() throws Exception {
    there.passiveAccept();
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    // The notification comes by the incoming connection, so it is there when this returns.
    outgoing.sendNotification(Notification.of("here", new byte[0]));
    ReceivedNotification received = there.takeNotification(PATIENCE);
    assertThat(received).isNotNull();
    assertThat(there.addPeer(here.metadata(), PATIENCE)).isSameAs(received.from());
    assertThatThrownBy(() -> there.accept(PATIENCE)).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void connectionsThatWaitForAcceptBecomePeersWithPassiveAccept() throws Exception {
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    outgoing.sendNotification(Notification.of("here", new byte[0]));
    ReceivedNotification received = there.takeNotification(PATIENCE);
    there.passiveAccept();
    assertThat(received).isNotNull();
    assertThat(there.addPeer(here.metadata(), PATIENCE)).isSameAs(received.from());
  }

  @Test
  void aRemovedPeerIsClosedAndConnectedAnewWhenAdded() throws Exception {
    Connection first = here.addPeer(there.metadata(), PATIENCE);
    assertThat(here.removePeer(there.metadata())).isTrue();
    assertThat(first.isOpen()).isFalse();
    assertThat(here.removePeer(there.metadata())).isFalse();
    Connection second = here.addPeer(there.metadata(), PATIENCE);
    assertThat(second).isNotSameAs(first);
    assertThat(second.isOpen()).isTrue();
  }

  @Test
  void twoEnginesThatAddEachOtherAtTheSameMomentGetOneConnection() throws Exception {
    here.passiveAccept();
    there.passiveAccept();
    ExecutorService threads = Executors.newFixedThreadPool(2);
    try {
      for (int round = 0; round < 50; round++) {
        CyclicBarrier start = new CyclicBarrier(2);
        Future<Connection> first = threads.submit(() -> add(start, here, there));
        Future<Connection> second = threads.submit(() -> add(start, there, here));
        Connection mine = first.get();
        Connection theirs = second.get();
        // They are the two ends of one connection: each engine knows it by what comes from the
        // other.
        mine.sendNotification(Notification.of("to there", new byte[0]));
        ReceivedNotification atThere = there.takeNotification(PATIENCE);
        assertThat(atThere).isNotNull();
        assertThat(atThere.from()).as("round %d", round).isSameAs(theirs);
        theirs.sendNotification(Notification.of("to here", new byte[0]));
        ReceivedNotification atHere = here.takeNotification(PATIENCE);
        assertThat(atHere).isNotNull();
        assertThat(atHere.from()).as("round %d", round).isSameAs(mine);
        assertThat(here.addPeer(there.metadata(), PATIENCE)).isSameAs(mine);
        assertThat(there.addPeer(here.metadata(), PATIENCE)).isSameAs(theirs);
        BlockingQueue<P2pException> told = new LinkedBlockingQueue<>();
        theirs.onClosed(told::add);
        assertThat(here.removePeer(there.metadata())).isTrue();
        assertThat(told.poll(20, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
      }
    } finally {
      threads.shutdownNow();
    }
  }

  private static Connection add(CyclicBarrier start, P2pEngine from, P2pEngine to)
      throws Exception {
    start.await();
    return from.addPeer(to.metadata(), PATIENCE);
  }

  @Test
  void explicitConnectionsOfBothSidesAreTwo() throws Exception {
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    Connection incoming = there.accept(PATIENCE);
    Connection back = there.connect(here.metadata(), PATIENCE);
    assertThat(back).isNotSameAs(incoming);
    assertThat(here.accept(PATIENCE)).isNotNull().isNotSameAs(outgoing);
    assertThat(outgoing.isOpen() && back.isOpen()).isTrue();
  }

  @Test
  void aPeerThatCannotBeReachedIsAnErrorEachTime() {
    EndpointMetadata nobody = EndpointMetadata.parse("127.0.0.1:9");
    for (int i = 0; i < 2; i++) {
      assertThatThrownBy(() -> here.addPeer(nobody, PATIENCE))
          .isInstanceOf(PeerUnreachableException.class);
    }
  }

  @Test
  void theEndOfAConnectionIsToldOnceOnAThreadThatMayCloseThings() throws Exception {
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    BlockingQueue<P2pException> told = new LinkedBlockingQueue<>();
    outgoing.onClosed(
        cause -> {
          here.close();
          told.add(cause);
        });
    there.close();
    assertThat(told.poll(20, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
    assertThat(told).isEmpty();
  }

  @Test
  void aListenerOfAConnectionThatHasEndedIsToldToo() throws Exception {
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    outgoing.close();
    BlockingQueue<P2pException> told = new LinkedBlockingQueue<>();
    outgoing.onClosed(told::add);
    assertThat(told.poll(20, TimeUnit.SECONDS)).isInstanceOf(ResourceClosedException.class);
  }

  @Test
  void aListenerThatThrowsDoesNotKeepTheOthersFromBeingTold() throws Exception {
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    BlockingQueue<P2pException> told = new LinkedBlockingQueue<>();
    outgoing.onClosed(
        cause -> {
          throw new IllegalStateException("planted");
        });
    outgoing.onClosed(told::add);
    outgoing.close();
    assertThat(told.poll(20, TimeUnit.SECONDS)).isInstanceOf(ResourceClosedException.class);
  }

  @Test
  void aNotificationSentAfterATransferFindsItsBytesInPlace() throws Exception {
    int length = 32 << 20;
    MemoryRegion source = here.register(ByteBuffer.allocateDirect(length));
    MemoryRegion target = there.register(ByteBuffer.allocateDirect(length));
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    for (byte round = 1; round <= 5; round++) {
      source.slice(length - 1, 1).put(round);
      Transfer transfer = outgoing.write(source, 0, target.advertise());
      PostResult posted =
          outgoing.sendAfter(transfer, Notification.of("there", new byte[] {round}));
      assertThat(posted).isEqualTo(PostResult.POSTED);
      ReceivedNotification received = there.takeNotification(PATIENCE);
      assertThat(received).isNotNull();
      assertThat(received.notification().message()).containsExactly(round);
      assertThat(target.slice(length - 1, 1).get()).isEqualTo(round);
      transfer.await();
    }
  }

  @Test
  void aNotificationAfterATransferThatIsOverIsSentAtOnce() throws Exception {
    MemoryRegion source = here.register(ByteBuffer.allocateDirect(64));
    MemoryRegion target = there.register(ByteBuffer.allocateDirect(64));
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    Transfer transfer = outgoing.write(source, 0, target.advertise());
    transfer.await();
    outgoing.sendAfter(transfer, Notification.of("late", new byte[0]));
    ReceivedNotification received = there.takeNotification(PATIENCE);
    assertThat(received).isNotNull();
    assertThat(received.notification().nameText()).isEqualTo("late");
  }

  @Test
  void aNotificationAfterATransferThatFailedIsNotSent() throws Exception {
    MemoryRegion source = here.register(ByteBuffer.allocateDirect(64));
    MemoryRegion target = there.register(ByteBuffer.allocateDirect(64));
    FifoDescriptor descriptor = target.advertise();
    target.close();
    Connection outgoing = here.connect(there.metadata(), PATIENCE);
    Transfer transfer = outgoing.write(source, 0, descriptor);
    outgoing.sendAfter(transfer, Notification.of("never", new byte[0]));
    assertThatThrownBy(transfer::await).isInstanceOf(RemoteAccessException.class);
    assertThat(transfer.status()).isEqualTo(TransferStatus.FAILED);
    // Sent behind it on the same link: had "never" been sent, it would come first.
    outgoing.sendAfter(transfer, Notification.of("never either", new byte[0]));
    outgoing.sendNotification(Notification.of("last", new byte[0]));
    ReceivedNotification received = there.takeNotification(PATIENCE);
    assertThat(received).isNotNull();
    assertThat(received.notification().nameText()).isEqualTo("last");
  }

  @Test
  void aTransferOfAnotherConnectionIsRefused() throws Exception {
    MemoryRegion source = here.register(ByteBuffer.allocateDirect(64));
    MemoryRegion target = there.register(ByteBuffer.allocateDirect(64));
    Connection one = here.connect(there.metadata(), PATIENCE);
    Connection other = here.connect(there.metadata(), PATIENCE);
    Transfer transfer = one.write(source, 0, target.advertise());
    assertThatThrownBy(() -> other.sendAfter(transfer, Notification.of("x", new byte[0])))
        .isInstanceOf(IllegalArgumentException.class);
    transfer.await();
  }
}
