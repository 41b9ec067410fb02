package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.DeadlineExceededException;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RegionInUseException;
import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.conformance.SimulatedCxi.Mode;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * What a caller of the engine gets of a network that fails: each fault that the simulated cxi
 * provider injects ends in the exception that names it, the memory is free or in use as {@link
 * BufferState} says, and a fresh connection works.
 */
@ExtendWith(NeedsLibfabric.class)
@Tag("prove")
@Tag("faults")
@Timeout(120)
class CxiEngineFaultsTest {

  private static final Duration WAIT = Duration.ofSeconds(30);
  private static final Duration DEADLINE = Duration.ofMillis(300);

  /** Deadlines are looked at every 10 ms; the rest is for a machine that is busy. */
  private static final Duration TOLERANCE = Duration.ofMillis(500);

  private static final int LENGTH = 300_001;
  private static final String POST_ERROR = "POST_ERROR";
  private static final String CQ_ERROR = "CQ_ERROR";
  private static final String LOST_COMPLETION = "LOST_COMPLETION";
  private static final String EAGAIN = "EAGAIN";
  private static final String GONE = "GONE";
  private static final String REGISTRATION = "REGISTRATION";
  private static final String REGION_CLOSE = "REGION_CLOSE";

  private SimulatedCxi simulated;
  private Map<String, Long> before;
  private P2pEngine here;
  private P2pEngine there;

  /** The caller's memory: it is the one that a region may have to keep open. */
  private MemoryRegion local;

  private MemoryRegion remote;
  private Connection connection;

  @BeforeEach
  void open() throws Exception {
    simulated = SimulatedCxi.ofThisProcess();
    simulated.noFaults();
    before = simulated.objects();
    here = P2pEngine.open(EngineConfig.of(CxiChild.ENGINE));
    there = P2pEngine.open(EngineConfig.of(CxiChild.ENGINE));
    local = here.register(ByteBuffer.allocateDirect(LENGTH));
    remote = there.allocate(LENGTH);
    connection = here.connect(there.metadata(), WAIT);
  }

  @AfterEach
  void nothingIsLeft() throws Exception {
    simulated.noFaults();
    here.close();
    there.close();
    // What a close leaves to the reaper may take a moment; so may what an earlier test left to it.
    until(
        "the provider's objects are gone",
        () ->
            simulated.objects().entrySet().stream()
                .allMatch(each -> each.getValue() <= before.get(each.getKey())));
  }

  private static void until(String what, BooleanSupplier holds) throws InterruptedException {
    long start = System.nanoTime();
    while (!holds.getAsBoolean()) {
      assertThat(System.nanoTime() - start).as(what).isLessThan(WAIT.toNanos());
      TimeUnit.MILLISECONDS.sleep(1);
    }
  }

  /** Moves known bytes over a connection that is new, and over one more that was there. */
  private void works(Connection... others) throws InterruptedException {
    List<Connection> all = new ArrayList<>(List.of(others));
    all.add(here.connect(there.metadata(), WAIT));
    for (int i = 0; i < all.size(); i++) {
      works(all.get(i), 20 + i);
    }
  }

  private void works(Connection over, int seed) throws InterruptedException {
    byte[] bytes = CppPeer.pattern(LENGTH, seed);
    local.slice(0, LENGTH).put(bytes);
    over.write(local, 0, remote.advertise()).await();
    byte[] arrived = new byte[LENGTH];
    remote.slice(0, LENGTH).get(arrived);
    assertThat(arrived).isEqualTo(bytes);
    local.slice(0, LENGTH).put(new byte[LENGTH]);
    over.read(local, 0, remote.advertise()).await();
    local.slice(0, LENGTH).get(arrived);
    assertThat(arrived).isEqualTo(bytes);
  }

  /** Waits for the failure of a transfer, which names all that a person needs. */
  private <T extends P2pException> T failure(Transfer transfer, Class<T> type) {
    T failure = catchThrowableOfType(type, () -> transfer.await(WAIT));
    assertThat(failure).as("the failure").isNotNull();
    assertThat(failure.detail().transport()).isEqualTo("cxi");
    assertThat(failure.detail().peer()).contains(there.metadata().toString());
    assertThat(failure.detail().operation()).contains(Integer.toString(LENGTH));
    assertThat(failure.detail().range()).contains("region");
    assertThat(transfer.status()).isEqualTo(TransferStatus.FAILED);
    return failure;
  }

  /** Posts a write that cannot end well, and waits until its deadline ends it. */
  private Transfer expired(MemoryRegion from) {
    TransferBatch batch = connection.newBatch(1);
    Stopwatch stopwatch = new Stopwatch();
    batch.write(from, 0, remote.advertise(), 0, LENGTH).post(DEADLINE);
    DeadlineExceededException failure = failure(batch, DeadlineExceededException.class);
    assertThat(stopwatch.taken()).isLessThan(DEADLINE.plus(TOLERANCE));
    assertThat(failure).hasMessageContaining("the deadline passed");
    assertThat(connection.isOpen()).isTrue();
    return batch;
  }

  @Test
  void anOperationThatCannotBePostedFailsAlone() throws Exception {
    simulated.fault(POST_ERROR, Mode.AT, 1);
    Transfer transfer = connection.write(local, 0, remote.advertise());
    TransportException failure = failure(transfer, TransportException.class);
    assertThat(failure.detail().providerText()).contains("fi_write", "EIO");
    assertThat(failure.detail().remedy()).isNotEmpty();
    assertThat(transfer.buffer()).isEqualTo(BufferState.FREE);
    assertThat(connection.isOpen()).isTrue();
    works(connection);
  }

  @Test
  void anErrorOfTheCompletionQueueFailsItsOperationAlone() throws Exception {
    simulated.fault(CQ_ERROR, Mode.AT, 2);
    FifoDescriptor to = remote.advertise();
    Transfer first = connection.write(local, 0, to);
    Transfer second = connection.read(local, 0, to);
    Transfer third = connection.write(local, 0, to);
    // cxi tells all that a target refuses as this error, so for the caller it is a refusal.
    RemoteAccessException failure = failure(second, RemoteAccessException.class);
    assertThat(failure.detail().providerErrno()).isNotZero();
    assertThat(failure.detail().providerText()).contains("fi_cq_readerr", "EIO");
    assertThat(second.buffer()).isEqualTo(BufferState.FREE);
    first.await();
    third.await();
    works(connection);
  }

  @Test
  void aLostCompletionEndsByItsDeadlineAndItsMemoryStaysInUseUntilTheEngineCloses()
      throws Exception {
    simulated.fault(LOST_COMPLETION, Mode.AT, 1);
    Transfer transfer = expired(local);
    assertThat(transfer.buffer()).isEqualTo(BufferState.IN_USE);
    assertThatThrownBy(local::close)
        .isInstanceOf(RegionInUseException.class)
        .hasMessageContaining("write of " + LENGTH)
        .hasMessageContaining("given up");
    works(connection);
    connection.close();
    assertThat(transfer.buffer()).as("nothing on cxi is called back").isEqualTo(BufferState.IN_USE);
    here.close();
    until("the memory is free", () -> transfer.buffer() == BufferState.FREE);
  }

  @Test
  void aLostCompletionOfAllocatedMemoryKeepsItsRegistrationNotItsClose() throws Exception {
    MemoryRegion allocated = here.allocate(LENGTH);
    simulated.fault(LOST_COMPLETION, Mode.AT, 1);
    Transfer transfer = expired(allocated);
    long registrations = simulated.count("MRS");
    allocated.close();
    assertThat(transfer.buffer()).isEqualTo(BufferState.IN_USE);
    assertThat(simulated.count("MRS")).isEqualTo(registrations);
    works(connection);
  }

  @Test
  void withoutADeadlineALostCompletionEndsWhenNothingHasMovedForLong() throws Exception {
    Duration stall = Duration.ofSeconds(2);
    here.close();
    here = P2pEngine.open(EngineConfig.of(CxiChild.ENGINE).withStallDeadline(stall));
    local = here.register(ByteBuffer.allocateDirect(LENGTH));
    connection = here.connect(there.metadata(), WAIT);
    simulated.fault(LOST_COMPLETION, Mode.AT, 1);
    Transfer transfer = connection.write(local, 0, remote.advertise());
    assertThat(failure(transfer, DeadlineExceededException.class))
        .hasMessageContaining("no progress for " + stall.toMillis() + " ms");
    assertThat(transfer.buffer()).isEqualTo(BufferState.IN_USE);
    works(connection);
  }

  @Test
  void whatTheNetworkNeverTakesEndsByItsDeadlineAndItsMemoryIsFree() throws Exception {
    simulated.fault(EAGAIN, Mode.AFTER, 0);
    Transfer transfer = expired(local);
    assertThat(transfer.buffer()).isEqualTo(BufferState.FREE);
    simulated.fault(EAGAIN, Mode.OFF, 0);
    works(connection);
  }

  @Test
  void whatTheNetworkDoesNotTakeAtOnceItTakesLater() throws Exception {
    simulated.fault(EAGAIN, Mode.AFTER, 0);
    Transfer transfer = connection.write(local, 0, remote.advertise());
    long struck = simulated.struck(EAGAIN);
    until("refused several times", () -> transfer.poll() || simulated.struck(EAGAIN) > struck + 10);
    assertThat(transfer.status()).isEqualTo(TransferStatus.IN_FLIGHT);
    simulated.fault(EAGAIN, Mode.OFF, 0);
    transfer.await();
    works(connection);
  }

  @Test
  void aConnectionClosesWhileTheNetworkTakesNothing() throws Exception {
    simulated.fault(EAGAIN, Mode.AFTER, 0);
    Transfer transfer = connection.write(local, 0, remote.advertise());
    connection.close();
    failure(transfer, ResourceClosedException.class);
    assertThat(transfer.buffer()).isEqualTo(BufferState.FREE);
    simulated.fault(EAGAIN, Mode.OFF, 0);
    works();
  }

  @Test
  void aDeviceThatIsGoneFailsAllConnectionsWithTheCauseAndAFreshOneWorks() throws Exception {
    Connection second = here.connect(there.metadata(), WAIT);
    BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
    connection.onClosed(ends::add);
    second.onClosed(ends::add);
    simulated.fault(GONE, Mode.AT, 3);
    List<Transfer> transfers = new ArrayList<>();
    for (Connection each : List.of(connection, second, connection, second)) {
      transfers.add(each.write(local, 0, remote.advertise()));
    }
    int failed = 0;
    for (Transfer each : transfers) {
      until("ended", each::poll);
      if (each.status() == TransferStatus.FAILED) {
        failed++;
        TransportException failure = failure(each, TransportException.class);
        assertThat(failure).hasMessageContaining("the endpoint of the network failed");
        assertThat(failure.detail().providerText()).contains("fi_write", "ENODEV");
        until("nothing touches its memory", () -> each.buffer() == BufferState.FREE);
      }
    }
    assertThat(failed).as("transfers that the device took with it").isPositive();
    for (int i = 0; i < 2; i++) {
      assertThat(ends.poll(30, TimeUnit.SECONDS)).isInstanceOf(TransportException.class);
    }
    assertThat(connection.isOpen() || second.isOpen()).isFalse();
    works();
  }

  @Test
  void aPeerWhoseDeviceIsGoneIsLostAndItsMemoryIsThereAgainForAFreshConnection() throws Exception {
    Connection back = there.connect(here.metadata(), WAIT);
    BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
    connection.onClosed(ends::add);
    simulated.fault(GONE, Mode.AT, 1);
    Transfer transfer = back.write(remote, 0, local.advertise());
    assertThatThrownBy(() -> transfer.await(WAIT)).isInstanceOf(TransportException.class);
    assertThat(ends.poll(30, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
    works();
  }

  @Test
  void memoryThatCannotBeRegisteredIsRefusedWithTheCauseAndTheNextIsTaken() throws Exception {
    simulated.fault(REGISTRATION, Mode.AT, 1);
    RegistrationException failure =
        catchThrowableOfType(RegistrationException.class, () -> here.allocate(LENGTH));
    assertThat(failure)
        .hasMessageContaining(Integer.toString(LENGTH))
        .hasMessageContaining("fi_mr_reg")
        .hasMessageContaining("ulimit -l");
    assertThat(failure.detail().transport()).isEqualTo("cxi");
    assertThat(connection.isOpen()).isTrue();
    local.close();
    local = here.allocate(LENGTH);
    works(connection);
  }

  @Test
  void aRegionThatTheNetworkKeepsIsNotSaidToBeClosedAndTheNextCloseTriesAgain() throws Exception {
    FifoDescriptor kept = local.advertise();
    Connection back = there.connect(here.metadata(), WAIT);
    simulated.fault(REGION_CLOSE, Mode.AFTER, 0);
    for (int i = 0; i < 2; i++) {
      assertThatThrownBy(local::close)
          .isInstanceOf(TransportException.class)
          .hasMessageContaining("peers may still reach the memory")
          .hasMessageContaining("fi_close of the registration");
    }
    assertThatThrownBy(local::advertise).isInstanceOf(ResourceClosedException.class);
    simulated.fault(REGION_CLOSE, Mode.OFF, 0);
    local.close();
    assertThatThrownBy(() -> back.write(remote, 0, kept).await())
        .isInstanceOf(RemoteAccessException.class);
    local = here.register(ByteBuffer.allocateDirect(LENGTH));
    works(connection);
  }

  @Test
  void anEngineClosesWhileTheNetworkKeepsItsRegions() throws Exception {
    simulated.fault(REGION_CLOSE, Mode.AT, 1);
    here.close();
    assertThat(simulated.struck(REGION_CLOSE)).isPositive();
  }

  @Test
  void memoryThatAFreshEndpointDoesNotTakeIsToldToWhoeverConnectsAndTheNextOneWorks()
      throws Exception {
    simulated.fault(GONE, Mode.AT, 1);
    failure(connection.write(local, 0, remote.advertise()), TransportException.class);
    until("the connection has ended", () -> !connection.isOpen());
    simulated.fault(REGISTRATION, Mode.AT, 1);
    assertThatThrownBy(() -> here.connect(there.metadata(), WAIT))
        .isInstanceOf(TransportException.class)
        .hasMessageContaining("not all memory could move to a fresh one")
        .hasMessageContaining("fi_mr_reg");
    works();
  }

  @Test
  void anEngineClosesWhileTheNetworkTakesNothingAndHasLostWhatItTook() throws Exception {
    long lostBefore = simulated.struck(LOST_COMPLETION);
    simulated.fault(LOST_COMPLETION, Mode.AT, 1);
    Transfer lost = connection.write(local, 0, remote.advertise());
    until("the first is posted", () -> simulated.struck(LOST_COMPLETION) > lostBefore);
    long struck = simulated.struck(EAGAIN);
    simulated.fault(EAGAIN, Mode.AFTER, 0);
    Transfer queued = connection.write(local, 0, remote.advertise());
    until("the second is refused", () -> queued.poll() || simulated.struck(EAGAIN) > struck);
    here.close();
    failure(lost, ResourceClosedException.class);
    failure(queued, ResourceClosedException.class);
    assertThat(queued.buffer()).isEqualTo(BufferState.FREE);
    until("the memory of the lost one is free", () -> lost.buffer() == BufferState.FREE);
  }
}
