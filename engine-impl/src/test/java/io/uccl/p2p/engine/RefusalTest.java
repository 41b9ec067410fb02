package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.Transfer;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * A network on which a refusal breaks the connection, and why it was: a peer that dies loses its
 * regions before its sockets.
 */
@Timeout(120)
class RefusalTest {

  private static final Duration WAIT = Duration.ofSeconds(30);

  private final HeldTransport network = new HeldTransport();
  private final BlockingQueue<P2pException> told = new LinkedBlockingQueue<>();
  @RegisterExtension final Opened opened = new Opened();

  private DefaultP2pEngine engine(HeldTransport on) {
    DefaultP2pEngine engine =
        DefaultP2pEngine.open(EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")), on.selection());
    opened.closing(engine);
    return engine;
  }

  private Transfer writeTo(DefaultP2pEngine peer) throws InterruptedException {
    DefaultP2pEngine engine = engine(network);
    Connection connection = engine.connect(peer.metadata(), WAIT);
    assertThat(peer.accept(WAIT)).isNotNull();
    connection.onClosed(told::add);
    MemoryRegion local = engine.register(ByteBuffer.allocateDirect(64));
    FifoDescriptor there =
        FifoDescriptor.of(0x1000, 64, 0, 1, (long) peer.life() << 32 | 1, 0, 0, 0);
    Transfer transfer = connection.write(local, 0, there);
    assertThat(network.taken.poll(30, TimeUnit.SECONDS)).isNotNull().satisfies(network.taken::add);
    return transfer;
  }

  private void endsWith(Transfer transfer, Class<? extends P2pException> cause)
      throws InterruptedException {
    assertThatThrownBy(() -> transfer.await(WAIT)).isInstanceOf(cause);
    assertThat(transfer.failure()).isInstanceOf(cause);
    assertThat(transfer.buffer()).isEqualTo(BufferState.FREE);
    assertThat(told.poll(30, TimeUnit.SECONDS)).isInstanceOf(cause);
    assertThat(told).isEmpty();
  }

  @Test
  void theRefusalOfAPeerThatLivesIsTheCause() throws InterruptedException {
    Transfer transfer = writeTo(engine(new HeldTransport()));
    network.refuse(() -> {});
    endsWith(transfer, RemoteAccessException.class);
  }

  @Test
  void theRefusalOfAPeerThatEndsIsTheFirstSignOfItsEnd() throws InterruptedException {
    DefaultP2pEngine peer = engine(new HeldTransport());
    Transfer transfer = writeTo(peer);
    network.refuse(peer::close);
    endsWith(transfer, PeerLostException.class);
  }
}
