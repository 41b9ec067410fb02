package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.DeadlineExceededException;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.RegionInUseException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** An engine on a network on which nothing can be ended, and what becomes of memory there. */
@Timeout(120)
class MemoryInUseTest {

  private static final Duration WAIT = Duration.ofSeconds(30);
  private static final Duration SHORT = Duration.ofMillis(50);

  private final HeldTransport network = new HeldTransport();
  @RegisterExtension final Opened opened = new Opened();
  private int peerLife;

  private static EngineConfig config(String... variables) {
    Map<String, String> environment = new HashMap<>(Map.of("UCCL_SOCKET_IFNAME", "lo"));
    for (int i = 0; i < variables.length; i += 2) {
      environment.put(variables[i], variables[i + 1]);
    }
    return EngineConfig.of(environment);
  }

  private DefaultP2pEngine engine(EngineConfig config, HeldTransport on) {
    DefaultP2pEngine engine = DefaultP2pEngine.open(config, on.selection());
    opened.closing(engine);
    return engine;
  }

  private Connection connection(DefaultP2pEngine engine) throws InterruptedException {
    DefaultP2pEngine peer = engine(config(), new HeldTransport());
    peerLife = peer.life();
    Connection connection = engine.connect(peer.metadata(), WAIT);
    assertThat(peer.accept(WAIT)).isNotNull();
    return connection;
  }

  /** What the last connection's peer could have advertised. */
  private FifoDescriptor remote() {
    return FifoDescriptor.of(0x1000, 1 << 20, 0, 1, (long) peerLife << 32 | 1, 0, 0, 0);
  }

  private static MemoryRegion region(DefaultP2pEngine engine) {
    return engine.register(ByteBuffer.allocateDirect(4096));
  }

  private TransferBatch writes(Connection connection, MemoryRegion local, int count) {
    TransferBatch batch = connection.newBatch(count);
    for (int i = 0; i < count; i++) {
      batch.write(local, 64L * i, remote(), 0, 64);
    }
    return batch;
  }

  /** Posts writes that the network takes, and sees them expire. */
  private TransferBatch expired(Connection connection, MemoryRegion local, int count)
      throws InterruptedException {
    int before = network.taken.size();
    TransferBatch batch = writes(connection, local, count);
    batch.post(SHORT);
    until("taken", () -> network.taken.size() == before + count);
    assertThatThrownBy(batch::await).isInstanceOf(DeadlineExceededException.class);
    assertThat(batch.buffer()).isEqualTo(BufferState.IN_USE);
    return batch;
  }

  private static void untilFree(Transfer transfer) {
    until("free", () -> transfer.buffer() == BufferState.FREE);
  }

  @Test
  void lateOperationsKeepTheirPlaceInTheWindow() throws InterruptedException {
    DefaultP2pEngine engine = engine(config("UCCL_P2P_MAX_INFLIGHT_OPS", "2"), network);
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    TransferBatch late = expired(connection, local, 2);
    Transfer next = connection.write(local, 0, remote(), 0, 64);
    for (int i = 0; i < 10; i++) {
      next.poll();
    }
    assertThat(network.taken).hasSize(2);
    network.report(network.taken.remove());
    until("taken", () -> network.taken.size() == 2);
    assertThat(late.buffer()).as("one of two is reported").isEqualTo(BufferState.IN_USE);
    network.report(network.taken.remove());
    network.report(network.taken.remove());
    next.await();
    untilFree(late);
    assertThat(late.status(0)).as("it failed, for good").isEqualTo(TransferStatus.FAILED);
    assertThat(connection.isOpen()).isTrue();
  }

  @Test
  void whatIsQueuedBehindLateOperationsEndsWhenNothingMoves() throws InterruptedException {
    DefaultP2pEngine engine = oneAtATimeAndImpatient();
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    TransferBatch late = expired(connection, local, 1);
    Transfer queued = connection.write(local, 0, remote(), 0, 64);
    assertStalled(queued);
    assertThat(queued.buffer()).as("the network never had it").isEqualTo(BufferState.FREE);
    assertThat(connection.isOpen()).isTrue();
    network.report(network.taken.remove());
    untilFree(late);
    Transfer next = connection.write(local, 0, remote(), 0, 64);
    network.report(network.taken.take());
    next.await();
  }

  @Test
  void whatIsQueuedBehindALongDeadlineEndsWhenNothingMoves() throws InterruptedException {
    DefaultP2pEngine engine = oneAtATimeAndImpatient();
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    TransferBatch patient = writes(connection, local, 1);
    patient.post(WAIT);
    Transfer queued = connection.write(local, 0, remote(), 0, 64);
    assertStalled(queued);
    assertThat(patient.status()).isEqualTo(TransferStatus.IN_FLIGHT);
    network.report(network.taken.take());
    patient.await();
  }

  /** An engine with room for one operation, and 200 ms for what has no deadline. */
  private DefaultP2pEngine oneAtATimeAndImpatient() {
    return engine(
        config("UCCL_P2P_MAX_INFLIGHT_OPS", "1").withStallDeadline(Duration.ofMillis(200)),
        network);
  }

  private static void assertStalled(Transfer transfer) {
    assertThatThrownBy(transfer::await)
        .isInstanceOf(DeadlineExceededException.class)
        .hasMessageContaining("no progress for 200 ms");
  }

  @Test
  void theTimeWithoutProgressOfAnOperationBeginsWhenItIsPosted() throws InterruptedException {
    DefaultP2pEngine engine = engine(config().withStallDeadline(Duration.ofSeconds(2)), network);
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    Transfer first = connection.write(local, 0, remote(), 0, 64);
    assertThat(first.await(Duration.ofSeconds(1))).isFalse();
    Transfer second = connection.write(local, 0, remote(), 0, 64);
    assertThatThrownBy(first::await).isInstanceOf(DeadlineExceededException.class);
    assertThat(second.status()).isEqualTo(TransferStatus.IN_FLIGHT);
    network.taken.forEach(network::report);
    second.await();
    untilFree(first);
  }

  @Test
  void anOperationThatWasCutIsFreeWhenItsLastPieceIsReported() throws InterruptedException {
    DefaultP2pEngine engine = engine(config().withMaxOperationBytes(1000), network);
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    TransferBatch batch = connection.newBatch(2).write(local, 0, remote(), 0, 2500);
    batch.post(SHORT);
    until("taken", () -> network.taken.size() == 3);
    assertThatThrownBy(batch::await).isInstanceOf(DeadlineExceededException.class);
    for (int i = 0; i < 2; i++) {
      network.report(network.taken.remove());
    }
    assertThatThrownBy(local::close)
        .isInstanceOf(RegionInUseException.class)
        .hasMessageContaining(
            "used by write of 2500 bytes at offset 0 to " + connection.remote() + " (given up)");
    assertThat(batch.buffer()).isEqualTo(BufferState.IN_USE);
    network.report(network.taken.remove());
    untilFree(batch);
    local.close();
  }

  @Test
  void aBatchInUseCanOnlyBeClosed() throws InterruptedException {
    DefaultP2pEngine engine = engine(config(), network);
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    TransferBatch batch = expired(connection, local, 1);
    assertThatThrownBy(batch::post).hasMessageContaining("its memory is still in use");
    assertThatThrownBy(batch::clear).isInstanceOf(IllegalStateException.class);
    batch.close();
    assertThat(batch.buffer()).isEqualTo(BufferState.IN_USE);
    assertThatThrownBy(local::close)
        .hasMessageContaining("write of 64 bytes at offset 0 to " + connection.remote());
    network.report(network.taken.remove());
    untilFree(batch);
    local.close();
  }

  @Test
  void operationsOfAClosedConnectionEndByTheFirstCause() throws InterruptedException {
    DefaultP2pEngine engine = engine(config(), network);
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    TransferBatch late = expired(connection, local, 1);
    Transfer transfer = connection.write(local, 64, remote(), 0, 64);
    until("taken", () -> network.taken.size() == 2);
    long start = System.nanoTime();
    connection.close();
    assertThatThrownBy(transfer::await).isInstanceOf(ResourceClosedException.class);
    assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(3));
    assertThat(transfer.buffer()).isEqualTo(BufferState.IN_USE);
    assertThatThrownBy(local::close)
        .hasMessageContaining("at offset 0")
        .hasMessageContaining("at offset 64");
    network.taken.forEach(network::report);
    untilFree(transfer);
    untilFree(late);
    local.close();
  }

  @Test
  void aReportThatComesTwiceChangesNothing() throws InterruptedException {
    DefaultP2pEngine engine = engine(config(), network);
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    TransferBatch late = expired(connection, local, 2);
    network.report(network.taken.peek());
    network.report(network.taken.remove());
    Transfer next = connection.write(local, 0, remote(), 0, 64);
    until("taken", () -> network.taken.size() == 2);
    long second = network.taken.remove();
    network.report(network.taken.remove());
    next.await();
    assertThat(late.buffer()).isEqualTo(BufferState.IN_USE);
    network.report(second);
    untilFree(late);
  }

  @Test
  void anEngineReleasesRegionsThenItsTransportAndThenGivesMemoryBack() throws InterruptedException {
    requireNativeMemory();
    DefaultP2pEngine engine = engine(config(), network);
    Connection connection = connection(engine);
    MemoryRegion first = engine.allocate(4096);
    MemoryRegion second = region(engine);
    MemoryRegion third = engine.allocate(4096);
    ByteBuffer view = first.slice(0, 1).put(0, (byte) 1);
    TransferBatch late = expired(connection, first, 1);
    third.close();
    assertThat(network.events).containsExactly("close region 3", "release region 3");
    first.close();
    assertThat(network.events).as("it is in use").endsWith("close region 1");
    assertThat(view.get(0)).isEqualTo((byte) 1);
    engine.close();
    assertThat(network.events)
        .containsExactly(
            "close region 3",
            "release region 3",
            "close region 1",
            "close region 2",
            "close transport",
            "release region 1",
            "release region 2",
            "release transport");
    assertThat(late.buffer()).isEqualTo(BufferState.FREE);
    assertThat(view.get(0)).as("given back").isZero();
    second.close();
  }

  @Test
  void theCallersMemoryIsInUseAlsoWhenItsEngineWasClosed() throws Exception {
    DefaultP2pEngine engine = engine(config(), network);
    Connection connection = connection(engine);
    MemoryRegion local = region(engine);
    TransferBatch late = expired(connection, local, 1);
    CountDownLatch go = new CountDownLatch(1);
    network.onRelease = () -> awaitUninterrupted(go);
    engine.close();
    assertThat(late.buffer()).isEqualTo(BufferState.IN_USE);
    assertThatThrownBy(local::close)
        .isInstanceOf(RegionInUseException.class)
        .hasMessageContaining("write of 64 bytes at offset 0");
    go.countDown();
    untilFree(late);
    local.close();
  }

  private static void awaitUninterrupted(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void whatTheNetworkDoesNotTakeEndsWhenNothingMoves() throws InterruptedException {
    DefaultP2pEngine engine = engine(config().withStallDeadline(Duration.ofMillis(200)), network);
    Connection connection = connection(engine);
    network.full = true;
    Transfer queued = connection.write(region(engine), 0, remote(), 0, 64);
    assertStalled(queued);
    assertThat(queued.buffer()).isEqualTo(BufferState.FREE);
  }

  @Test
  void aRegionWhoseReleaseFailsKeepsItsMemory() throws InterruptedException {
    requireNativeMemory();
    DefaultP2pEngine engine = engine(config(), network);
    MemoryRegion local = engine.allocate(4096);
    ByteBuffer view = local.slice(0, 1).put(0, (byte) 1);
    network.onRelease =
        () -> {
          throw new IllegalStateException("planted");
        };
    local.close();
    assertThat(network.events).containsExactly("close region 1");
    assertThat(view.get(0)).isEqualTo((byte) 1);
  }

  @Test
  void whoClosesARegionSecondWaitsForTheFirst() throws InterruptedException {
    DefaultP2pEngine engine = engine(config(), network);
    MemoryRegion local = region(engine);
    Thread closer = new Thread(local::close);
    network.onRelease =
        () -> {
          closer.start();
          until("the second waits", () -> closer.getState() == Thread.State.WAITING);
        };
    local.close();
    closer.join();
    assertThat(network.events).containsExactly("close region 1", "release region 1");
  }

  @Test
  void anErrorInTheCloseOfARegionKeepsNoEngineFromClosingItsTransport() {
    DefaultP2pEngine engine = engine(config(), network);
    region(engine);
    network.onClose =
        () -> {
          throw new OutOfMemoryError("planted");
        };
    engine.close();
    assertThat(network.events)
        .containsExactly("close transport", "release region 1", "release transport");
  }

  @Test
  void wantOfMemoryForAConnectionCostsThatConnectionOnly() throws InterruptedException {
    HeldTransport there = new HeldTransport();
    DefaultP2pEngine peer = engine(config(), there);
    DefaultP2pEngine engine = engine(config(), network);
    there.onPrepare =
        () -> {
          throw new OutOfMemoryError("planted");
        };
    assertThatThrownBy(() -> engine.connect(peer.metadata(), WAIT))
        .isInstanceOf(HandshakeException.class)
        .hasMessageContaining("planted");
    there.onPrepare = () -> {};
    engine.connect(peer.metadata(), WAIT);
    assertThat(peer.accept(WAIT)).isNotNull();
  }

  private static void requireNativeMemory() {
    Assumptions.assumeTrue(
        NativeMemory.availability().available(), () -> NativeMemory.availability().detail());
  }
}
