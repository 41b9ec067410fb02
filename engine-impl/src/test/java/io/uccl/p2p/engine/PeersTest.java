package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.Notification;
import io.uccl.p2p.ReceivedNotification;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Which connection an engine keeps for a peer when there is more than one. */
@Timeout(120)
class PeersTest {

  private static final Duration WAIT = Duration.ofSeconds(30);

  @RegisterExtension final Opened opened = new Opened();
  private final HeldTransport network = new HeldTransport();
  private final DefaultP2pEngine engine = open(network);
  private final DefaultP2pEngine peer = open(new HeldTransport());

  private DefaultP2pEngine open(HeldTransport on) {
    EngineConfig config = EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo"));
    return opened.closing(DefaultP2pEngine.open(config, on.selection()));
  }

  /** Lets the peer connect; returns the connection as the engine has it. */
  private Connection incoming() throws InterruptedException {
    Connection theirs = peer.connect(engine.metadata(), WAIT);
    theirs.sendNotification(Notification.of("here", new byte[0]));
    ReceivedNotification received = engine.takeNotification(WAIT);
    assertThat(received).isNotNull();
    return received.from();
  }

  @Test
  void anIncomingConnectionTakesThePlaceOfOneThatHasEnded() throws InterruptedException {
    engine.passiveAccept();
    Connection first = engine.addPeer(peer.metadata(), WAIT);
    FifoDescriptor there = FifoDescriptor.of(0, 64, 0, 1, (long) peer.life() << 32 | 1, 0, 0, 0);
    first.write(engine.register(ByteBuffer.allocateDirect(64)), 0, there);
    network.taken.take();
    // The network reports nothing, so the engine has to do with it for a while.
    first.close();
    Connection second = incoming();
    assertThat(engine.addPeer(peer.metadata(), WAIT)).isSameAs(second);
  }

  @Test
  void anIncomingConnectionTakesThePlaceOfOneThatDoesNotComeAbout() throws Exception {
    engine.passiveAccept();
    network.silent = true;
    CompletableFuture<Connection> attempt = new CompletableFuture<>();
    Thread caller =
        new Thread(
            () -> {
              try {
                attempt.complete(engine.addPeer(peer.metadata(), WAIT));
              } catch (InterruptedException | RuntimeException e) {
                attempt.completeExceptionally(e);
              }
            });
    caller.start();
    until("the attempt has its channel", () -> !network.channels.isEmpty());
    network.silent = false;
    Connection second = incoming();
    caller.interrupt();
    assertThatThrownBy(attempt::join).hasCauseInstanceOf(InterruptedException.class);
    assertThat(engine.addPeer(peer.metadata(), WAIT)).isSameAs(second);
  }
}
