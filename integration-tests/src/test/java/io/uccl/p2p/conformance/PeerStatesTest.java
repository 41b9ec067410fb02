package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerState;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Peers in processes of their own that stop, die, or cannot be reached any more. */
@Timeout(150)
class PeerStatesTest {

  private static final int SIZE = 1 << 20;

  private final BlockingQueue<PeerState> states = new LinkedBlockingQueue<>();
  private final BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();

  private static EngineConfig config(String networkInterface) {
    return EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", networkInterface)).withTransport("tcp");
  }

  private void watch(Connection connection) {
    connection.onPeerState(states::add);
    connection.onClosed(ends::add);
  }

  private PeerState nextState() throws InterruptedException {
    return states.poll(30, TimeUnit.SECONDS);
  }

  @Test
  void aStoppedProcessIsStalledAndItsTransferGoesOnWhenItDoes() throws Exception {
    try (PeerProcess process = PeerProcess.start();
        Session session = Session.open(process, config("lo"))) {
      Connection connection = session.connection();
      watch(connection);
      MemoryRegion local = session.local(SIZE);
      Session.fill(local, 1);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      try (TransferBatch batch = connection.newBatch(1).write(local, 0, there, 0, SIZE)) {
        process.suspend();
        try {
          assertThat(batch.post(Duration.ofSeconds(100))).isEqualTo(PostResult.POSTED);
          assertThat(nextState()).isEqualTo(PeerState.STALLED);
          assertThat(connection.peerState()).isEqualTo(PeerState.STALLED);
          assertThat(batch.status()).isEqualTo(TransferStatus.IN_FLIGHT);
        } finally {
          process.resume();
        }
        Session.finish(batch);
      }
      remote.check("the write", 1);
      assertThat(nextState()).isEqualTo(PeerState.CONNECTED);
      assertThat(session.back().failure()).as("the peer had no trouble").isEmpty();
      assertThat(ends).isEmpty();
    }
  }

  @Test
  void aKilledProcessIsLost() throws Exception {
    try (P2pEngine engine = P2pEngine.open(config("lo"));
        PeerProcess process = PeerProcess.start()) {
      RemoteEngine there = process.open(config("lo"));
      Connection connection = engine.connect(there.metadata(), Limits.PATIENCE);
      there.accept();
      watch(connection);
      process.kill();
      assertThat(nextState()).isEqualTo(PeerState.LOST);
      assertThat(ends.poll(30, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
    }
  }

  @Test
  void aPeerWhoseCableIsCutIsLostWithAllThatIsPending() throws Exception {
    assumeTrue(run("id", "-u").strip().equals("0"), "network namespaces need root");
    assumeTrue(existsIp(), "the program ip is missing");
    String tag = Long.toString(ProcessHandle.current().pid() % 100_000);
    String here = "p2ph" + tag;
    String there = "p2pt" + tag;
    String space = "p2p-" + tag;
    run("ip", "netns", "add", space);
    try {
      run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", space);
      run("ip", "address", "add", "198.18.77.1/30", "dev", here);
      run("ip", "link", "set", here, "up");
      run("ip", "-n", space, "address", "add", "198.18.77.2/30", "dev", there);
      run("ip", "-n", space, "link", "set", there, "up");
      try (P2pEngine engine = P2pEngine.open(config(here));
          PeerProcess process = PeerProcess.start(Map.of(), builder -> inNetwork(space, builder))) {
        RemoteEngine peer = process.open(config(there));
        Connection connection = engine.connect(peer.metadata(), Limits.PATIENCE);
        peer.accept();
        watch(connection);
        MemoryRegion local = engine.register(ByteBuffer.allocateDirect(SIZE));
        FifoDescriptor target = peer.register(SIZE).advertise();
        Session.finish(connection.write(local, 0, target));

        run("ip", "-n", space, "link", "set", there, "down");
        long cut = System.nanoTime();
        Transfer first = connection.write(local, 0, target);
        Transfer second = connection.read(local, 0, target);

        assertThat(nextState()).isEqualTo(PeerState.LOST);
        // 7 seconds, and what a busy machine adds.
        assertThat(System.nanoTime() - cut).isLessThan(TimeUnit.SECONDS.toNanos(15));
        for (Transfer each : List.of(first, second)) {
          assertThatThrownBy(() -> each.await(Limits.PATIENCE))
              .isInstanceOf(PeerLostException.class)
              .hasMessageContaining("nothing has come for")
              .hasMessageContaining("does not answer");
        }
        assertThat(ends.poll(30, TimeUnit.SECONDS)).hasMessageContaining("does not answer");
        assertThat(ends).isEmpty();
        assertThat(states).isEmpty();
      }
    } finally {
      // Takes the pair of interfaces with it.
      run("ip", "netns", "delete", space);
    }
  }

  private static Process inNetwork(String space, ProcessBuilder process) throws IOException {
    process.command().addAll(0, List.of("ip", "netns", "exec", space));
    return process.start();
  }

  private static boolean existsIp() throws InterruptedException {
    try {
      return run("ip", "-V").contains("ip");
    } catch (IOException e) {
      return false;
    }
  }

  private static String run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as("%s: %s", List.of(command), output).isZero();
    return output;
  }
}
