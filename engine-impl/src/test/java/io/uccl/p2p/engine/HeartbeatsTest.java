package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerState;
import io.uccl.p2p.PostResult;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What an engine thinks of a peer that is silent, with plain sockets as the peer. */
@Timeout(120)
class HeartbeatsTest {

  private static final Duration WAIT = Duration.ofSeconds(30);

  @RegisterExtension final Opened opened = new Opened();
  private final BlockingQueue<PeerState> states = new LinkedBlockingQueue<>();
  private final BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
  private final DefaultP2pEngine engine = opened.closing(open());

  private static DefaultP2pEngine open() {
    return DefaultP2pEngine.open(
        EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp"));
  }

  /** A peer that connects by plain sockets, and says nothing more than the test writes. */
  private final class Plain {
    private final FakePeer peer;
    private final Socket control;
    private final Connection connection;

    Plain(int features) throws IOException, InterruptedException {
      peer = opened.closing(new FakePeer());
      FakePeer.Joined joined = peer.join(engine, features);
      control = joined.control();
      connection = joined.connection();
      connection.onPeerState(states::add);
      connection.onClosed(ends::add);
    }
  }

  private PeerState nextState() throws InterruptedException {
    return states.poll(30, TimeUnit.SECONDS);
  }

  @Test
  void aSilentPeerIsStalledThenHeardAgainAndLostWhenItsKernelRefuses() throws Exception {
    Plain plain = new Plain(HandshakeTrailer.FEATURE_HEARTBEATS);
    assertThat(plain.connection.peerState()).isEqualTo(PeerState.CONNECTED);
    assertThat(nextState()).isEqualTo(PeerState.STALLED);
    try (Socket probe = plain.peer.control.accept()) {
      probe.setSoTimeout(30_000);
      assertThat(probe.getInputStream().read()).as("the probe says nothing").isEqualTo(-1);
    }
    FakePeer.writeFrame(plain.control, ControlCodec.encodeHeartbeat());
    assertThat(nextState()).isEqualTo(PeerState.CONNECTED);
    plain.peer.control.close();
    assertThat(nextState()).isEqualTo(PeerState.LOST);
    assertThat(ends.poll(30, TimeUnit.SECONDS))
        .isInstanceOf(PeerLostException.class)
        .hasMessageContaining("nothing has come for")
        .hasMessageContaining("refuses connections");
    assertThat(plain.connection.peerState()).isEqualTo(PeerState.LOST);
    BlockingQueue<PeerState> late = new LinkedBlockingQueue<>();
    plain.connection.onPeerState(late::add);
    assertThat(late.poll(30, TimeUnit.SECONDS))
        .as("what a late listener hears")
        .isEqualTo(PeerState.LOST);
    assertThat(late).isEmpty();
    assertThat(states).isEmpty();
    assertThat(ends).isEmpty();
  }

  @Test
  void aSilentPeerWhoseKernelDoesNotAnswerIsLost() throws Exception {
    // A listener whose queue is full: the kernel drops further attempts, as a dead machine would.
    InetAddress loopback = InetAddress.getLoopbackAddress();
    ServerSocket full = opened.closing(new ServerSocket(0, 1, loopback));
    for (int i = 0; i < 2; i++) {
      opened.closing(new Socket()).connect(new InetSocketAddress(loopback, full.getLocalPort()));
    }
    BlockingQueue<String> told = new LinkedBlockingQueue<>();
    ControlChannel.Listener listener =
        watching(new InetSocketAddress(loopback, full.getLocalPort()), told);
    ServerSocket silent = opened.closing(new ServerSocket(0, 1, loopback));
    ControlChannel channel = opened.closing(ControlChannel.open(loopback, 0, listener));
    long start = System.nanoTime();
    channel.connect(new InetSocketAddress(loopback, silent.getLocalPort()));
    assertThat(told.poll(30, TimeUnit.SECONDS))
        .contains("nothing has come for", "does not answer at 127.0.0.1");
    assertThat(System.nanoTime() - start)
        .isGreaterThanOrEqualTo(PeerWatch.SILENCE_NANOS + PeerWatch.PROBE_NANOS);
  }

  /** Watches each outgoing link, and says what is told of it. */
  private static ControlChannel.Listener watching(
      InetSocketAddress control, BlockingQueue<String> told) {
    return new ControlChannel.Listener() {
      @Override
      public void onConnected(ControlLink link) {
        link.watch(control);
      }

      @Override
      public void onAccepted(ControlLink link) {
        throw new AssertionError("nobody connects");
      }

      @Override
      public void onFrame(ControlLink link, ByteBuffer payload) {
        throw new AssertionError("nobody sends");
      }

      @Override
      public void onPeerState(ControlLink link, PeerState state) {
        told.add(state.name());
      }

      @Override
      public void onClosed(ControlLink link, IOException cause) {
        told.add(cause == null ? "closed" : cause.getMessage());
      }
    };
  }

  @Test
  void aPeerThatCannotEvenBeAskedCostsItsLinkOnly() throws Exception {
    InetAddress loopback = InetAddress.getLoopbackAddress();
    BlockingQueue<String> told = new LinkedBlockingQueue<>();
    ServerSocket silent = opened.closing(new ServerSocket(0, 2, loopback));
    ControlChannel channel =
        opened.closing(
            ControlChannel.open(
                loopback, 0, watching(InetSocketAddress.createUnresolved("nobody", 1), told)));
    for (int i = 0; i < 2; i++) {
      channel.connect(new InetSocketAddress(loopback, silent.getLocalPort()));
      assertThat(told.poll(30, TimeUnit.SECONDS)).contains("UnresolvedAddressException");
    }
  }

  @Test
  void aPeerThatSendsNoHeartbeatsIsNotJudgedAndGetsNone() throws Exception {
    Plain quiet = new Plain(0);
    Plain watched = new Plain(HandshakeTrailer.FEATURE_HEARTBEATS);
    // Both are silent from the same time on, and only one of them is judged.
    assertThat(nextState()).isEqualTo(PeerState.STALLED);
    assertThat(watched.connection.peerState()).isEqualTo(PeerState.STALLED);
    assertThat(quiet.connection.peerState()).isEqualTo(PeerState.CONNECTED);
    assertThat(FakePeer.readFrame(watched.control)).isEqualTo(ControlCodec.encodeHeartbeat());
    quiet.connection.sendNotification(Notification.of("first", new byte[0]));
    assertThat(FakePeer.readFrame(quiet.control))
        .isEqualTo(ControlCodec.encode(Notification.of("first", new byte[0])));
  }

  @Test
  void aHeartbeatThatWasNotAnnouncedEndsTheConnection() throws Exception {
    Plain plain = new Plain(0);
    FakePeer.writeFrame(plain.control, ControlCodec.encodeHeartbeat());
    assertThat(ends.poll(30, TimeUnit.SECONDS))
        .isInstanceOf(HandshakeException.class)
        .hasMessageContaining("it sent a heartbeat and announced none");
    assertThat(nextState()).isEqualTo(PeerState.CLOSED);
  }

  @Test
  void aPeerIsPausedWhileItsNotificationsAreNotTakenAndConnectedAfterwards() throws Exception {
    DefaultP2pEngine sender = opened.closing(open());
    Connection there = sender.connect(engine.metadata(), WAIT);
    Connection here = engine.accept(WAIT);
    here.onPeerState(states::add);
    int sent = 0;
    while (engine.inboxBudget().pausedLinks() == 0) {
      if (there.sendNotification(Notification.of("n", new byte[4 << 20])) == PostResult.POSTED) {
        sent++;
      } else {
        Thread.yield();
      }
    }
    assertThat(nextState()).isEqualTo(PeerState.PAUSED);
    // Longer than silence and probe together may take.
    assertThat(states.poll(8, TimeUnit.SECONDS)).isNull();
    assertThat(here.isOpen()).isTrue();
    for (int i = 0; i < sent; i++) {
      assertThat(engine.takeNotification(WAIT)).isNotNull();
    }
    assertThat(nextState()).isEqualTo(PeerState.CONNECTED);
    assertThat(there.peerState()).isEqualTo(PeerState.CONNECTED);
    here.close();
    assertThat(nextState()).isEqualTo(PeerState.CLOSED);
  }
}
