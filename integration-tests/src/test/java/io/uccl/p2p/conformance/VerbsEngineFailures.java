package io.uccl.p2p.conformance;

import static io.uccl.p2p.conformance.Session.failureOf;
import static io.uccl.p2p.conformance.Session.fill;
import static io.uccl.p2p.conformance.Session.finish;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.guest.Cable;
import io.uccl.p2p.guest.VerbsFaults;
import io.uccl.p2p.guest.VerbsTwoGuestsKit;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.PrimitiveIterator;
import java.util.concurrent.FutureTask;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

/**
 * What a caller of the engine gets of an RDMA network that fails: in time the exception that names
 * the first cause, memory that nothing touches any more once it is FREE, and afterwards a new
 * connection that works. It runs in the first of two guests; {@code VerbsTwoGuestsTest} starts
 * both.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public final class VerbsEngineFailures {

  private static final int ROUNDS = Boolean.getBoolean("p2p.prove") ? 50 : 10;

  private static final int SIZE = 1 << 19;
  private static final int TRAFFIC_SIZE = 1 << 21;

  /** Of a connection; the default. */
  private static final int QUEUE_PAIRS = 4;

  /** Queue pairs of so many connections are connected at a time. */
  private static final int CONNECTORS = 4;

  private static final long THERE = 11;
  private static final long LATER = 12;
  private static final Notification PING = Notification.of("ping", new byte[10]);

  private final TransportConformance kit = new VerbsTwoGuestsKit();
  private final Cable cable = new Cable();

  /** The real libibverbs, but for the faults that a test asks for. */
  private final EngineConfig config =
      kit.config(Map.of("UCCL_IBV_SO", VerbsFaults.LIBRARY.toString()));

  private PeerProcess process;

  @BeforeAll
  void startPeer() {
    process = kit.anotherPeer(Map.of());
  }

  @AfterAll
  void endPeer() {
    process.close();
  }

  // -- the network

  @Test
  void packetsOverRdmaAreLost() throws Exception {
    broken(
        "all packets over RDMA are lost",
        traffic -> cable.begin(),
        () -> {},
        new Expected(PeerLostException.class, "does not answer", Duration.ofSeconds(20)));
  }

  @Test
  void allPacketsAreLost() throws Exception {
    broken(
        "all packets are lost",
        traffic -> cable.treatAll("loss 100%"),
        () -> {},
        new Expected(PeerLostException.class, "", Duration.ofSeconds(20)));
  }

  @Test
  void theCableIsPulled() throws Exception {
    broken(
        "the cable is pulled",
        traffic -> cable.pull(),
        cable::plug,
        new Expected(
            PeerLostException.class,
            "port of this process's device went down",
            Duration.ofSeconds(10)));
  }

  @Test
  void aNetworkThatLosesSomePacketsCarriesAll() throws Exception {
    carriesAll("one packet in a hundred over RDMA is lost", "loss 1%");
  }

  @Test
  void aNetworkThatIsLateCarriesAll() throws Exception {
    carriesAll("packets over RDMA are 20 ms late", "delay 20ms");
  }

  /** Transfers end well, and move the right bytes. */
  private void carriesAll(String name, String netem) throws InterruptedException {
    Duration worst = Duration.ZERO;
    try (Session session = Session.open(process, config)) {
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      cable.treatRdma(netem);
      try {
        for (int round = 1; round <= ROUNDS; round++) {
          long start = System.nanoTime();
          fill(local, round);
          finish(session.connection().write(local, 0, there));
          remote.check(name, round);
          remote.fill(-round);
          finish(session.connection().read(local, 0, there));
          Session.check(name, local, -round);
          worst = later(worst, start);
        }
      } finally {
        cable.treatRdma("");
      }
    }
    report(name, worst);
  }

  // -- the peer

  @Test
  void thePeersProcessIsKilled() throws Exception {
    Expected expected = new Expected(PeerLostException.class, "", Duration.ofSeconds(10));
    Duration worst = Duration.ZERO;
    PeerProcess next = kit.anotherPeer(Map.of());
    try (P2pEngine engine = P2pEngine.open(config)) {
      for (int round = 0; round < ROUNDS; round++) {
        PeerProcess victim = next;
        next = kit.anotherPeer(Map.of());
        Traffic traffic = new Traffic(engine, victim.open(config));
        if (round % 2 == 0) {
          traffic.moves();
        } else {
          traffic.standsStill();
        }
        long start = System.nanoTime();
        victim.kill();
        traffic.expect(expected, start);
        worst = later(worst, start);
        cable.treatAllWell();
        traffic.end();
      }
      works(engine, next.open(config));
    } finally {
      next.close();
    }
    report("the peer's process is killed", worst);
  }

  @Test
  void thePeerClosesTheConnection() throws Exception {
    broken(
        "the peer closes the connection",
        traffic -> traffic.back.close(),
        () -> {},
        new Expected(PeerLostException.class, "", QUICK));
  }

  @Test
  void thePeerIsRefusedHere() throws Exception {
    // No operation of this side is in error, and soft RoCE has no event that tells why it broke.
    broken(
        "the peer is refused here, which breaks the queue pair",
        Traffic::refuseThePeer,
        () -> {},
        new Expected(PeerLostException.class, "operation of the peer", QUICK));
  }

  // -- the device

  @Test
  void aQueuePairGoesToError() throws Exception {
    queuePairFails(
        "a queue pair goes to error",
        VerbsFaults::toError,
        new Expected(PeerLostException.class, "queue pair went to error", QUICK));
  }

  @Test
  void theDeviceSaysThatItRefusedThePeer() throws Exception {
    queuePairFails(
        "the device says that it refused the peer",
        VerbsFaults::refuse,
        new Expected(PeerLostException.class, "IBV_EVENT_QP_ACCESS_ERR", Duration.ofSeconds(10)));
  }

  /** Each of a connection's queue pairs in turn. */
  private void queuePairFails(String name, IntConsumer fault, Expected expected)
      throws InterruptedException {
    PrimitiveIterator.OfInt pairs = IntStream.iterate(0, n -> (n + 1) % QUEUE_PAIRS).iterator();
    broken(name, traffic -> fault.accept(pairs.nextInt()), () -> {}, expected);
  }

  @Test
  void theDeviceFails() throws Exception {
    Expected expected =
        new Expected(
            TransportException.class, "the device failed or was removed", Duration.ofSeconds(10));
    Duration worst = Duration.ZERO;
    for (int round = 0; round < ROUNDS; round++) {
      try (P2pEngine engine = P2pEngine.open(config);
          RemoteEngine peer = process.open(config)) {
        Traffic traffic = new Traffic(engine, peer);
        traffic.moves();
        long start = System.nanoTime();
        VerbsFaults.failDevice();
        traffic.expectFailure(expected, start);
        worst = later(worst, start);
        // Its queue pairs have to be destroyed before.
        Rules.awaitFree(traffic.batch);
        traffic.reuse();
        assertThatThrownBy(() -> engine.connect(peer.metadata(), QUICK))
            .hasMessageContaining("the device has failed");
        traffic.end();
      }
      try (Session session = Session.open(process, config)) {
        works(session.engine(), session.peer());
      }
    }
    report("the device fails", worst);
  }

  @Test
  void whatIsSlowToGoHoldsNobodyUp() throws Exception {
    Expected expected = new Expected(PeerLostException.class, "queue pair went to error", QUICK);
    noQueuePairIsLeft();
    try (Session session = Session.open(process, config)) {
      Traffic traffic = new Traffic(session.engine(), session.peer());
      traffic.moves();
      VerbsFaults.hold(VerbsFaults.Call.DESTROY);
      try {
        long start = System.nanoTime();
        VerbsFaults.toError(0);
        traffic.expect(expected, start);
        assertThat(VerbsFaults.await(VerbsFaults.Call.DESTROY, Limits.PATIENCE.toSeconds()))
            .as("the kernel tries to destroy a queue pair")
            .isTrue();
        works(session.engine(), session.peer());
        traffic.end();
        LocalRules.quickly("close of the engine", session.engine()::close);
        assertThat(VerbsFaults.queuePairs()).as("queue pairs").isPositive();
      } finally {
        VerbsFaults.letGo(VerbsFaults.Call.DESTROY);
      }
      noQueuePairIsLeft();
    }
  }

  /** What an engine had may outlive its close a little. */
  private static void noQueuePairIsLeft() {
    Rules.until("no queue pair is left", () -> VerbsFaults.queuePairs() == 0);
  }

  // -- peers that are hard to find

  @Test
  void whoIsHardToFindHoldsNobodyUp() throws Exception {
    try (Session session = Session.open(process, config);
        MemoryRegion local = session.local(SIZE)) {
      RemoteRegion remote = session.remote(SIZE);
      FutureTask<Connection> connect = connecting(session);
      whileConnecting(
          connect,
          () -> {
            LocalRules.stillWorks(session.connection(), local, remote);
            assertThat(connect.isDone()).as("it is connected").isFalse();
          });
      Connection connection = connect.get();
      session.peer().accept();
      LocalRules.stillWorks(connection, local, remote);
    }
  }

  @Test
  void whoIsAcceptedHearsOfItWhenItCanPost() throws Exception {
    try (Session session = Session.open(process, config);
        MemoryRegion local = session.local(SIZE)) {
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor here = local.advertise();
      FifoDescriptor there = remote.advertise();
      FutureTask<RemoteConnection> connect =
          new FutureTask<>(() -> session.peer().connect(session.engine().metadata()));
      whileConnecting(
          connect,
          () -> {
            finish(session.connection().write(local, 0, there, 0, SIZE));
            // What this side's control channel had for the peer has come there and back.
            for (int i = 0; i < 10; i++) {
              session.connection().sendNotification(PING);
              assertThat(session.connection().flushNotifications(Limits.PATIENCE)).isTrue();
            }
            assertThat(connect.isDone()).as("it is connected").isFalse();
          });
      RemoteConnection theirs = connect.get();
      remote.fill(THERE);
      theirs.run(new RemoteConnection.Operation(true, remote, 0, here, 0, SIZE));
      Session.check("a write of the peer", local, THERE);
    }
  }

  @Test
  void anEngineClosesWhileAPeerIsLookedFor() throws Exception {
    try (Session session = Session.open(process, config)) {
      FutureTask<Connection> connect = connecting(session);
      whileConnecting(
          connect, () -> LocalRules.quickly("close of the engine", session.engine()::close));
      assertThatThrownBy(connect::get).hasCauseInstanceOf(ResourceClosedException.class);
    }
    try (Session session = Session.open(process, config)) {
      works(session.engine(), session.peer());
    }
  }

  @Test
  void whoGivesUpBeforeItsTurnKeepsNothing() throws Exception {
    int more = 3;
    noQueuePairIsLeft();
    try (Session session = Session.open(process, config)) {
      int before = VerbsFaults.queuePairs();
      VerbsFaults.hold(VerbsFaults.Call.CONNECT);
      try {
        List<FutureTask<Connection>> all = new ArrayList<>();
        for (int i = 0; i < CONNECTORS + more; i++) {
          all.add(connecting(session, Duration.ofSeconds(15)));
          new Thread(all.get(i), "connects " + i).start();
        }
        for (FutureTask<Connection> each : all) {
          assertThatThrownBy(each::get).hasCauseInstanceOf(P2pException.class);
        }
        Rules.until(
            "only those whose turn has come are left",
            () -> VerbsFaults.queuePairs() == before + CONNECTORS * QUEUE_PAIRS);
      } finally {
        VerbsFaults.letGo(VerbsFaults.Call.CONNECT);
      }
      Rules.until("none is left", () -> VerbsFaults.queuePairs() == before);
      works(session.engine(), session.peer());
    }
  }

  private static FutureTask<Connection> connecting(Session session) {
    return connecting(session, Limits.PATIENCE);
  }

  private static FutureTask<Connection> connecting(Session session, Duration time) {
    return new FutureTask<>(() -> session.engine().connect(session.peer().metadata(), time));
  }

  private interface Step {
    void run() throws InterruptedException;
  }

  /** Does something while the queue pairs of a connection are being connected on this side. */
  private static void whileConnecting(FutureTask<?> connect, Step step)
      throws InterruptedException {
    VerbsFaults.hold(VerbsFaults.Call.CONNECT);
    try {
      new Thread(connect, "connects").start();
      assertThat(VerbsFaults.await(VerbsFaults.Call.CONNECT, Limits.PATIENCE.toSeconds()))
          .as("the kernel looks for the peer; else see what came of %s", connect)
          .isTrue();
      step.run();
    } finally {
      VerbsFaults.letGo(VerbsFaults.Call.CONNECT);
    }
  }

  // -- memory

  @Test
  void theKeyIsWrong() throws Exception {
    Expected expected =
        new Expected(RemoteAccessException.class, "IBV_WC_REM_ACCESS_ERR", Duration.ofSeconds(10));
    Duration worst = Duration.ZERO;
    try (Session session = Session.open(process, config)) {
      for (int round = 0; round < ROUNDS; round++) {
        Traffic traffic = new Traffic(session.engine(), session.peer());
        long start = System.nanoTime();
        Transfer wrong = traffic.useWrongKey();
        traffic.post();
        traffic.expect(expected, start);
        worst = later(worst, start);
        assertThat(failureOf(wrong)).isInstanceOf(RemoteAccessException.class);
        works(session.engine(), session.peer());
        traffic.end();
      }
    }
    report("a key is wrong", worst);
  }

  @Test
  void aDamagedDescriptorCostsOneOperation() throws Exception {
    try (Session session = Session.open(process, config)) {
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      for (int shift = 0; shift < 12; shift++) {
        // As if the region were registered in very many pieces.
        FifoDescriptor damaged =
            FifoDescriptor.of(
                there.address(),
                there.length(),
                there.rkey(),
                there.rid(),
                there.idx(),
                there.own0(),
                there.own1(),
                (there.own2() & ~0xff00L) | (long) shift << 8);
        assertThat(failureOf(session.connection().write(local, 0, damaged)))
            .isInstanceOf(RemoteAccessException.class)
            .hasMessageContaining("no keys for a part of the range");
        assertThat(session.connection().isOpen()).isTrue();
      }
      LocalRules.stillWorks(session.connection(), local, remote);
    }
  }

  @Test
  void aRegionClosesUnderEightWriters() throws Exception {
    int writers = 8;
    int stripe = SIZE;
    int operations = 300;
    Duration worst = Duration.ZERO;
    ByteBuffer memory = ByteBuffer.allocateDirect(writers * stripe);
    try (Session session = Session.open(process, config)) {
      RemoteRegion source = session.remote(stripe);
      source.fill(THERE);
      List<RemoteConnection> back = new ArrayList<>();
      for (int i = 0; i < writers; i++) {
        back.add(session.peer().connect(session.engine().metadata()));
      }
      for (int round = 0; round < ROUNDS; round++) {
        Pattern.fill(memory, 0, 0);
        MemoryRegion target = session.engine().register(memory);
        List<String> batches = new ArrayList<>();
        for (int i = 0; i < writers; i++) {
          FifoDescriptor here = target.advertise((long) i * stripe, stripe);
          batches.add(
              back.get(i)
                  .post(
                      Collections.nCopies(
                          operations,
                          new RemoteConnection.Operation(true, source, 0, here, 0, stripe))));
        }
        for (int i = 0; i < writers; i++) {
          int at = i * stripe;
          Rules.until("a writer writes", () -> memory.get(at) != 0);
        }
        long start = System.nanoTime();
        target.close();
        worst = later(worst, start);
        Pattern.fill(memory, LATER, 0);
        for (int i = 0; i < writers; i++) {
          RemoteConnection writer = back.get(i);
          String batch = batches.get(i);
          PeerFailure failure = catchThrowableOfType(PeerFailure.class, () -> writer.await(batch));
          assertThat(failure).as("writer %d of round %d", i, round).isNotNull();
          assertThat(failure.type())
              .as(failure.getMessage())
              .isEqualTo(RemoteAccessException.class.getName());
          assertThat(failure).hasMessageNotContaining("FLUSH");
          if (!writer.failure().isEmpty()) {
            back.set(i, session.peer().connect(session.engine().metadata()));
          }
        }
        assertThat(Pattern.mismatch(memory, LATER, 0)).as("a late byte").isEqualTo(-1);
      }
    }
    assertThat(worst).as("the close of a region").isLessThan(QUICK);
    report("a region closes under eight writers", worst);
  }

  // -- helpers

  private static final Duration QUICK = Duration.ofSeconds(3);

  /** What the transfers of a broken connection end with, and when. */
  private record Expected(Class<? extends P2pException> type, String text, Duration limit) {}

  /** Breaks connections on which transfers are under way, and sees what these end with. */
  private void broken(String name, Consumer<Traffic> fault, Runnable mend, Expected expected)
      throws InterruptedException {
    broken(name, Traffic::moves, fault, mend, expected);
  }

  /**
   * The same, with transfers that move, or such that stand still already when the fault comes.
   *
   * @param begin begins the transfers of a connection
   */
  private void broken(
      String name, Begin begin, Consumer<Traffic> fault, Runnable mend, Expected expected)
      throws InterruptedException {
    Duration worst = Duration.ZERO;
    try (Session session = Session.open(process, config)) {
      for (int round = 0; round < ROUNDS; round++) {
        Traffic traffic = new Traffic(session.engine(), session.peer());
        begin.begin(traffic);
        long start = System.nanoTime();
        try {
          fault.accept(traffic);
          traffic.expect(expected, start);
          worst = later(worst, start);
        } finally {
          mend.run();
          cable.treatAllWell();
        }
        works(session.engine(), session.peer());
        traffic.end();
      }
    }
    report(name, worst);
  }

  private interface Begin {
    void begin(Traffic traffic) throws InterruptedException;
  }

  /** A new connection works. */
  private static void works(P2pEngine engine, RemoteEngine peer) throws InterruptedException {
    Connection connection = engine.connect(peer.metadata(), Limits.PATIENCE);
    peer.accept();
    try (MemoryRegion local = engine.register(ByteBuffer.allocateDirect(5000))) {
      RemoteRegion remote = peer.register(5000);
      LocalRules.stillWorks(connection, local, remote);
      remote.close();
    }
    connection.close();
  }

  private static Duration later(Duration worst, long start) {
    Duration taken = Duration.ofNanos(System.nanoTime() - start);
    return taken.compareTo(worst) > 0 ? taken : worst;
  }

  private static void report(String name, Duration worst) {
    System.out.printf("%s: %d rounds, worst %d ms%n", name, ROUNDS, worst.toMillis());
  }

  /** A connection with writes and reads under way, and the memory of this side that they use. */
  private final class Traffic {

    /** With their length more than a minute of work, so that it is never done before it fails. */
    private static final int OPERATIONS = 2000;

    private final Connection connection;
    private final RemoteConnection back;
    private final RemoteRegion remote;
    private final MemoryRegion out;
    private final MemoryRegion in;
    private final TransferBatch batch;
    private final List<P2pException> told = Collections.synchronizedList(new ArrayList<>());

    Traffic(P2pEngine engine, RemoteEngine peer) throws InterruptedException {
      connection = engine.connect(peer.metadata(), Limits.PATIENCE);
      back = peer.accept();
      connection.onClosed(told::add);
      remote = peer.register(TRAFFIC_SIZE);
      FifoDescriptor there = remote.advertise();
      out = engine.register(ByteBuffer.allocateDirect(TRAFFIC_SIZE));
      in = engine.register(ByteBuffer.allocateDirect(TRAFFIC_SIZE));
      batch = connection.newBatch(2 * OPERATIONS);
      for (int i = 0; i < OPERATIONS; i++) {
        batch.write(out, 0, there, 0, TRAFFIC_SIZE);
        batch.read(in, 0, there, 0, TRAFFIC_SIZE);
      }
    }

    /** Begins transfers; returns when some of it has arrived, and the rest is under way. */
    void moves() throws InterruptedException {
      Transfer first = connection.write(out, 0, remote.advertise(), 0, 1000);
      post();
      finish(first);
      assertThat(batch.status()).isEqualTo(TransferStatus.IN_FLIGHT);
    }

    /** Begins transfers of which nothing arrives. */
    void standsStill() {
      cable.begin();
      post();
    }

    void post() {
      assertThat(batch.post()).isEqualTo(PostResult.POSTED);
    }

    /** Waits for the failure, after which the memory may be used again. */
    void expect(Expected expected, long start) throws InterruptedException {
      expectFailure(expected, start);
      assertThat(batch.buffer()).isEqualTo(BufferState.FREE);
      reuse();
    }

    void expectFailure(Expected expected, long start) throws InterruptedException {
      P2pException failure = failureOf(batch);
      assertThat(Duration.ofNanos(System.nanoTime() - start))
          .as("the time of %s", failure)
          .isLessThan(expected.limit);
      assertThat(failure).isInstanceOf(expected.type).hasMessageContaining(expected.text);
      assertThat(connection.failure()).isInstanceOf(expected.type);
      assertThat(failure).hasMessageNotContaining("FLUSH");
    }

    void reuse() {
      fill(out, LATER);
      fill(in, LATER);
    }

    /** Sees that nothing was touched since then, and that the end was told once. */
    void end() {
      Session.check("the source after the failure", out, LATER);
      Session.check("the target after the failure", in, LATER);
      assertThat(told).hasSize(1);
      batch.close();
      out.close();
      in.close();
    }

    Transfer useWrongKey() {
      return connection.write(out, 0, kit.withWrongKey(remote.advertise()));
    }

    /** The peer uses a wrong key. */
    void refuseThePeer() {
      FifoDescriptor here = kit.withWrongKey(in.advertise());
      back.post(List.of(new RemoteConnection.Operation(true, remote, 0, here, 0, TRAFFIC_SIZE)));
    }
  }
}
