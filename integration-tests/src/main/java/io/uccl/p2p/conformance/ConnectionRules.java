package io.uccl.p2p.conformance;

import static io.uccl.p2p.conformance.Session.failureOf;
import static io.uccl.p2p.conformance.Session.fill;
import static io.uccl.p2p.conformance.Session.finish;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.DeadlineExceededException;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.spi.TransportCapabilities.Expiry;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Rules about how connections come about and end, and about time. */
abstract class ConnectionRules extends Rules {

  private static final int SIZE = 50_000;
  private static final long SEED = 606;

  ConnectionRules(TransportConformance kit) {
    super(kit);
  }

  // -- coming about

  @Test
  @DisplayName("C1 When connect returns, and when accept does, that side can post")
  void readyWhenReturned() throws InterruptedException {
    try (P2pEngine engine = P2pEngine.open(config());
        RemoteEngine there = peer().open(config())) {
      MemoryRegion local = engine.register(ByteBuffer.allocateDirect(SIZE));
      RemoteRegion remote = there.register(SIZE);
      FifoDescriptor here = local.advertise();
      for (int i = 1; i <= times(15); i++) {
        Connection connection = engine.connect(there.metadata(), Limits.PATIENCE);
        fill(local, i);
        finish(connection.write(local, 0, remote.advertise()));
        remote.check("before the peer accepted", i);
        RemoteConnection back = there.accept();
        back.run(new RemoteConnection.Operation(false, remote, 0, here, 0, SIZE));
        connection.close();

        RemoteConnection theirs = there.connect(engine.metadata());
        remote.fill(-i);
        theirs.run(new RemoteConnection.Operation(true, remote, 0, here, 0, SIZE));
        Session.check("before this side accepted", local, -i);
        Connection accepted = Objects.requireNonNull(engine.accept(Limits.PATIENCE), "accepted");
        assertThat(accepted.remote()).isEqualTo(there.metadata());
        LocalRules.stillWorks(accepted, local, remote);
        theirs.close();
      }
      assertThat(engine.accept(Duration.ofMillis(1))).as("nobody else connected").isNull();
    }
  }

  @Test
  @DisplayName("C2 Connecting to a port where nobody listens fails at once")
  void nobodyListens() throws IOException, InterruptedException {
    try (Socket taken = new Socket();
        P2pEngine engine = P2pEngine.open(config())) {
      // Kept, so that nobody else, this engine first of all, is given the port and listens on it.
      taken.bind(new InetSocketAddress("127.0.0.1", 0));
      int port = taken.getLocalPort();
      assertThat(connectFailure(engine, loopback(port), Limits.PATIENCE))
          .isInstanceOf(PeerUnreachableException.class)
          .hasMessageContaining(":" + port);
      worksWith(engine);
    }
  }

  @Test
  @DisplayName("C3 Connecting to somebody who says nothing fails when the time is over")
  void silence() throws IOException, InterruptedException {
    Duration timeout = Duration.ofMillis(300);
    try (P2pEngine engine = P2pEngine.open(config());
        ServerSocket silent = listener()) {
      long start = System.nanoTime();
      assertThat(connectFailure(engine, loopback(silent.getLocalPort()), timeout))
          .isInstanceOf(PeerUnreachableException.class);
      assertThat(Duration.ofNanos(System.nanoTime() - start))
          .isBetween(timeout, timeout.plus(Limits.QUICK));
      worksWith(engine);
    }
  }

  @Test
  @DisplayName("C4 Connecting to another protocol is told as that, or as nobody, within the time")
  void anotherProtocol() throws Exception {
    byte[] noise = new byte[5000];
    random().nextBytes(noise);
    Map<String, byte[]> speakers = new HashMap<>();
    speakers.put("http", "HTTP/1.1 400 Bad Request\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
    speakers.put("ssh", "SSH-2.0-OpenSSH_9.2\r\n".getBytes(StandardCharsets.US_ASCII));
    speakers.put("noise", noise);
    speakers.put("short frame", new byte[] {0, 0, 0, 1, 7});
    try (P2pEngine engine = P2pEngine.open(config())) {
      for (Map.Entry<String, byte[]> speaker : speakers.entrySet()) {
        try (FakePeer fake = new FakePeer(greeting -> speaker.getValue(), new byte[0])) {
          assertThat(connectFailure(engine, fake.metadata(), Limits.QUICK))
              .as(speaker.getKey())
              .isInstanceOfAny(HandshakeException.class, PeerUnreachableException.class);
        }
      }
      try (FakePeer fake = new FakePeer(greeting -> new byte[0], new byte[0])) {
        assertThat(connectFailure(engine, fake.metadata(), Limits.QUICK))
            .as("who hangs up")
            .isInstanceOf(PeerUnreachableException.class);
      }
      worksWith(engine);
    }
  }

  @Test
  @DisplayName("C5 Connecting to an engine of another transport is told as that")
  void anotherTransport() throws Exception {
    byte[] magic = magic();
    try (P2pEngine engine = P2pEngine.open(config())) {
      UnaryOperator<byte[]> answer =
          greeting -> {
            greeting[4] ^= 0x55;
            return greeting;
          };
      try (FakePeer fake = new FakePeer(answer, magic)) {
        assertThat(connectFailure(engine, fake.metadata(), Limits.PATIENCE))
            .isInstanceOf(HandshakeException.class);
      }
      try (P2pEngine other = P2pEngine.open(kit().second())) {
        assertThat(connectFailure(engine, other.metadata(), Limits.PATIENCE))
            .isInstanceOf(HandshakeException.class);
        assertThat(connectFailure(other, engine.metadata(), Limits.PATIENCE))
            .isInstanceOf(HandshakeException.class);
        assertThat(engine.accept(Duration.ofMillis(1))).isNull();
        assertThat(other.accept(Duration.ofMillis(1))).isNull();
      }
      worksWith(engine);
    }
  }

  @Test
  @DisplayName("C6 Connecting to an engine of another version is told as that")
  void anotherVersion() throws Exception {
    UnaryOperator<byte[]> answer =
        greeting -> {
          greeting[8]++;
          return greeting;
        };
    try (P2pEngine engine = P2pEngine.open(config());
        FakePeer fake = new FakePeer(answer, magic())) {
      assertThat(connectFailure(engine, fake.metadata(), Limits.PATIENCE))
          .isInstanceOf(HandshakeException.class)
          .hasMessageContaining("version");
      worksWith(engine);
    }
  }

  @Test
  @DisplayName("C7 Whatever comes to its port, an engine goes on serving its peers")
  void strangersAtThePort() throws Exception {
    byte[] noise = new byte[3000];
    random().nextBytes(noise);
    byte[][] greetings = {
      {},
      {0},
      {0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8},
      {127, 127, 127, 127, 0},
      "GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII),
      noise
    };
    try (Session session = session()) {
      EndpointMetadata here = session.engine().metadata();
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      for (byte[] greeting : greetings) {
        try (Socket stranger = new Socket(here.address(), here.port())) {
          stranger.getOutputStream().write(greeting);
          stranger.getOutputStream().flush();
          LocalRules.stillWorks(session.connection(), local, remote);
        }
      }
      assertThat(session.engine().accept(Duration.ofMillis(1))).isNull();
      RemoteConnection another = session.peer().connect(here);
      assertThat(session.engine().accept(Limits.PATIENCE)).isNotNull();
      another.close();
    }
  }

  @Test
  @DisplayName("C8 Interrupting connect ends the attempt, and nothing else")
  void interruptedConnect() throws Exception {
    try (P2pEngine engine = P2pEngine.open(config());
        ServerSocket silent = listener()) {
      EndpointMetadata nobody = loopback(silent.getLocalPort());
      ExecutorService pool = Executors.newSingleThreadExecutor();
      try {
        CompletableFuture<Thread> waiter = new CompletableFuture<>();
        Future<Connection> connecting =
            pool.submit(
                () -> {
                  waiter.complete(Thread.currentThread());
                  return engine.connect(nobody, Limits.PATIENCE);
                });
        // It stays open: its end would end the attempt, too.
        try (Socket attempt = silent.accept()) {
          waiter.get().interrupt();
          assertThatExceptionOfType(ExecutionException.class)
              .isThrownBy(() -> connecting.get(10, TimeUnit.SECONDS))
              .withCauseInstanceOf(InterruptedException.class);
          // The attempt is taken back: whatever was sent, its end comes.
          attempt.setSoTimeout(10_000);
          assertThatCode(() -> attempt.getInputStream().readAllBytes()).doesNotThrowAnyException();
        }
      } finally {
        pool.shutdownNow();
      }
      worksWith(engine);
    }
  }

  @Test
  @DisplayName("C9 Two connections between the same engines do not depend on each other")
  void twoConnections() throws InterruptedException {
    try (Session session = session()) {
      Connection second = session.connectAgain();
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      LocalRules.stillWorks(second, local, remote);
      LocalRules.stillWorks(session.connection(), local, remote);
      second.close();
      LocalRules.stillWorks(session.connection(), local, remote);
      assertThat(second.isOpen()).isFalse();
    }
  }

  // -- ending

  @Test
  @DisplayName("C10 Closing a connection is quick, ends what is in flight, and the peer sees it")
  void closedConnection() throws Exception {
    Standstill standstill = standstill();
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      Connection connection = session.connection();
      BlockingQueue<P2pException> told = new LinkedBlockingQueue<>();
      connection.onClosed(told::add);
      Transfer transfer;
      standstill.begin();
      try {
        transfer = connection.write(local, 0, there);
        LocalRules.quickly("close", connection::close);
        LocalRules.quickly("second close", connection::close);
        assertThat(failureOf(transfer)).isInstanceOf(ResourceClosedException.class);
        if (kit().capabilities().expiry() == Expiry.CLOSES_CHANNEL) {
          assertThat(transfer.buffer()).isEqualTo(BufferState.FREE);
          local.close();
        }
      } finally {
        standstill.end();
      }
      freeAgain(transfer::buffer);
      local.close();
      assertThat(connection.isOpen()).isFalse();
      assertThat(connection.failure()).isInstanceOf(ResourceClosedException.class);
      assertThat(told.poll(10, TimeUnit.SECONDS)).isInstanceOf(ResourceClosedException.class);
      MemoryRegion other = session.local(SIZE);
      assertThat(failureOf(connection.write(other, 0, there)))
          .isInstanceOf(ResourceClosedException.class);
      assertThatExceptionOfType(ResourceClosedException.class)
          .isThrownBy(() -> connection.sendNotification(Notification.of("late", new byte[0])));
      String theirs = awaitFailure(session.back());
      assertThat(theirs).isEqualTo(PeerLostException.class.getName());
      LocalRules.stillWorks(session.connectAgain(), other, remote);
      assertThat(told).as("told once").isEmpty();
    }
  }

  @Test
  @DisplayName("C11 Closing an engine is quick, ends what is in flight, and can be repeated")
  void closedEngine() throws Exception {
    Standstill standstill = standstill();
    ExecutorService pool = Executors.newSingleThreadExecutor();
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      P2pEngine engine = session.engine();
      standstill.begin();
      try {
        Transfer transfer = session.connection().write(local, 0, there);
        Future<P2pException> waiter = pool.submit(() -> failureOf(transfer));
        LocalRules.quickly("close", engine::close);
        LocalRules.quickly("second close", engine::close);
        assertThat(waiter.get(10, TimeUnit.SECONDS)).isInstanceOf(ResourceClosedException.class);
        freeAgain(transfer::buffer);
      } finally {
        standstill.end();
      }
      assertThat(session.connection().isOpen()).isFalse();
      assertThatExceptionOfType(ResourceClosedException.class)
          .isThrownBy(() -> engine.register(ByteBuffer.allocateDirect(1)));
      assertThatExceptionOfType(ResourceClosedException.class)
          .isThrownBy(() -> engine.connect(session.peer().metadata(), Limits.QUICK));
      assertThatExceptionOfType(ResourceClosedException.class)
          .isThrownBy(() -> engine.accept(Limits.QUICK));
      assertThatExceptionOfType(ResourceClosedException.class)
          .isThrownBy(() -> engine.takeNotification(Limits.QUICK));
      assertThatExceptionOfType(ResourceClosedException.class).isThrownBy(() -> local.slice(0, 1));
      LocalRules.quickly("close of a region after its engine's", local::close);
      LocalRules.quickly("close of a connection after its engine's", session.connection()::close);
      assertThat(awaitFailure(session.back())).isEqualTo(PeerLostException.class.getName());
    } finally {
      pool.shutdownNow();
    }
  }

  @Test
  @DisplayName("C12 When the peer closes, this side is told once, by the cause of all its failures")
  void peerCloses() throws Exception {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      Connection connection = session.connection();
      BlockingQueue<P2pException> told = new LinkedBlockingQueue<>();
      connection.onClosed(told::add);
      session.back().close();
      assertThat(told.poll(10, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
      assertThat(connection.isOpen()).isFalse();
      assertThat(connection.failure()).isInstanceOf(PeerLostException.class);
      assertThat(failureOf(connection.write(local, 0, there)))
          .isInstanceOf(PeerLostException.class);
      connection.onClosed(told::add);
      assertThat(told.poll(10, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
      assertThat(told).isEmpty();
    }
  }

  @Test
  @DisplayName(
      "C13 After a restart of the peer's engine old descriptors are refused, new ones work")
  void restartedPeer() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      FifoDescriptor old = session.remote(SIZE).advertise();
      LocalRules.stillWorks(session.connection(), local, session.remote(SIZE));
      session.peer().close();
      try (RemoteEngine restarted = peer().open(config())) {
        RemoteRegion remote = restarted.register(SIZE);
        remote.fill(SEED);
        Connection connection = session.engine().connect(restarted.metadata(), Limits.PATIENCE);
        restarted.accept();
        assertThatExceptionOfType(RemoteAccessException.class)
            .isThrownBy(() -> connection.write(local, 0, old));
        remote.check("nothing was written", SEED);
        LocalRules.stillWorks(connection, local, remote);
      }
    }
  }

  @Test
  @DisplayName("C14 When the peer's process dies, transfers end soon, and other peers see nothing")
  void killedPeer() throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(2);
    try (Session session = session();
        PeerProcess victim = anotherPeer()) {
      P2pEngine engine = session.engine();
      RemoteEngine theirs = victim.open(config());
      Connection doomed = engine.connect(theirs.metadata(), Limits.PATIENCE);
      theirs.accept();
      BlockingQueue<P2pException> told = new LinkedBlockingQueue<>();
      doomed.onClosed(told::add);
      FifoDescriptor target = theirs.register(8 << 20).advertise();
      CountDownLatch writing = new CountDownLatch(times(10));
      CountDownLatch reading = new CountDownLatch(times(10));
      Future<Transfer> write =
          pool.submit(() -> untilFailure(engine, doomed, target, writing, true));
      Future<Transfer> read =
          pool.submit(() -> untilFailure(engine, doomed, target, reading, false));
      assertThat(writing.await(30, TimeUnit.SECONDS)).isTrue();
      assertThat(reading.await(30, TimeUnit.SECONDS)).isTrue();
      victim.kill();
      for (Future<Transfer> each : List.of(write, read)) {
        Transfer transfer = each.get(10, TimeUnit.SECONDS);
        assertThat(transfer.failure()).isInstanceOf(PeerLostException.class);
      }
      assertThat(told.poll(10, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
      assertThat(told).isEmpty();
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      LocalRules.stillWorks(session.connection(), local, remote);
      LocalRules.stillWorks(session.connectAgain(), local, remote);
      try (PeerProcess successor = anotherPeer();
          RemoteEngine next = successor.open(config())) {
        Connection connection = engine.connect(next.metadata(), Limits.PATIENCE);
        LocalRules.stillWorks(connection, local, next.register(SIZE));
      }
    } finally {
      pool.shutdownNow();
    }
  }

  private Transfer untilFailure(
      P2pEngine engine,
      Connection connection,
      FifoDescriptor there,
      CountDownLatch done,
      boolean write)
      throws InterruptedException {
    int size = (int) there.length();
    MemoryRegion local = engine.register(ByteBuffer.allocateDirect(size));
    while (true) {
      Transfer transfer =
          write ? connection.write(local, 0, there) : connection.read(local, 0, there);
      try {
        transfer.await();
        done.countDown();
      } catch (P2pException e) {
        freeAgain(transfer::buffer);
        local.close();
        return transfer;
      }
    }
  }

  // -- time

  @Test
  @DisplayName("C15 A transfer to a peer that stands still ends with its deadline")
  void deadline() throws InterruptedException {
    Standstill standstill = standstill();
    Duration limit = Duration.ofMillis(400);
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      for (boolean write : new boolean[] {true, false}) {
        Connection connection = session.connectAgain();
        try (TransferBatch batch = connection.newBatch(1)) {
          if (write) {
            batch.write(local, 0, there, 0, SIZE);
          } else {
            batch.read(local, 0, there, 0, SIZE);
          }
          standstill.begin();
          try {
            long start = System.nanoTime();
            assertThat(batch.post(limit)).isEqualTo(PostResult.POSTED);
            assertThat(failureOf(batch)).isInstanceOf(DeadlineExceededException.class);
            assertThat(Duration.ofNanos(System.nanoTime() - start))
                .isBetween(limit, limit.plus(Limits.QUICK));
            if (kit().capabilities().expiry() == Expiry.CLOSES_CHANNEL) {
              assertThat(batch.buffer()).isEqualTo(BufferState.FREE);
            } else {
              assertThat(connection.isOpen()).isTrue();
            }
          } finally {
            standstill.end();
          }
          // What was under way still arrives, and would land in what is written next.
          freeAgain(batch::buffer);
        }
      }
      LocalRules.stillWorks(session.connection(), local, remote);
      LocalRules.stillWorks(session.connectAgain(), local, remote);
    }
  }

  @Test
  @DisplayName("C16 Without a deadline, a transfer ends when nothing has moved for the stall time")
  void stall() throws InterruptedException {
    Standstill standstill = standstill();
    // Long enough for a network that sends something again, when all works again.
    Duration limit = Duration.ofSeconds(1);
    try (Session session = session(config().withStallDeadline(limit))) {
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      Transfer transfer;
      standstill.begin();
      try {
        long start = System.nanoTime();
        transfer = session.connection().read(local, 0, there);
        assertThat(failureOf(transfer)).isInstanceOf(DeadlineExceededException.class);
        assertThat(Duration.ofNanos(System.nanoTime() - start))
            .isBetween(limit, limit.plus(Limits.QUICK));
      } finally {
        standstill.end();
      }
      freeAgain(transfer::buffer);
      LocalRules.stillWorks(session.connectAgain(), local, remote);
    }
  }

  @Test
  @DisplayName("C17 An operation that is still queued expires alone")
  void queuedExpiresAlone() throws InterruptedException {
    try (Hold hold = hold(Map.of("UCCL_P2P_MAX_INFLIGHT_OPS", "4"));
        Session session = session(hold.config())) {
      MemoryRegion local = session.local(SIZE);
      fill(local, SEED);
      RemoteRegion remote = session.remote(SIZE);
      RemoteRegion other = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      FifoDescriptor elsewhere = other.advertise();
      Connection connection = session.connection();
      try (TransferBatch first = connection.newBatch(20);
          TransferBatch queued = connection.newBatch(1)) {
        for (int i = 0; i < 20; i++) {
          first.write(local, i * 100L, there, i * 100L, 100);
        }
        queued.write(local, 0, elsewhere, 0, SIZE);
        hold.begin();
        try {
          assertThat(first.post()).isEqualTo(PostResult.POSTED);
          assertThat(queued.post(Duration.ofMillis(200))).isEqualTo(PostResult.POSTED);
          assertThat(failureOf(queued)).isInstanceOf(DeadlineExceededException.class);
          assertThat(queued.buffer()).isEqualTo(BufferState.FREE);
          assertThat(connection.isOpen()).isTrue();
          assertThat(first.status()).isEqualTo(TransferStatus.IN_FLIGHT);
        } finally {
          hold.end();
        }
        finish(first);
        remote.check("what was posted before", 0, 2000, SEED, 0);
        other.check("what expired", 0);
        LocalRules.stillWorks(connection, local, remote);
      }
    }
  }

  @Test
  @DisplayName("C18 A wait that ends early does not end the transfer")
  void boundedWaits() throws InterruptedException {
    try (Hold hold = hold();
        Session session = session(hold.config())) {
      MemoryRegion local = session.local(SIZE);
      fill(local, SEED);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      Transfer transfer;
      hold.begin();
      try {
        transfer = session.connection().write(local, 0, there);
        for (int i = 0; i < 50; i++) {
          assertThat(transfer.await(Duration.ofMillis(1))).isFalse();
          assertThat(transfer.poll()).isFalse();
        }
      } finally {
        hold.end();
      }
      finish(transfer);
      remote.check("the write", SEED);
    }
  }

  // -- helpers

  /** The first handshake bytes, which name the transport. */
  private byte[] magic() {
    Optional<TransportProvider> provider = WatchedTransportProvider.find(kit().transport());
    Assumptions.assumeTrue(provider.isPresent(), "the transport was not found by ServiceLoader");
    return ByteBuffer.allocate(4)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(provider.orElseThrow().handshakeMagic())
        .array();
  }

  private static ServerSocket listener() throws IOException {
    return new ServerSocket(0, 10, InetAddress.getByAddress(new byte[] {127, 0, 0, 1}));
  }

  private static EndpointMetadata loopback(int port) {
    return EndpointMetadata.parse("127.0.0.1:" + port);
  }

  /** Sees a connect fail within its time. */
  private static P2pException connectFailure(
      P2pEngine engine, EndpointMetadata peer, Duration timeout) {
    long start = System.nanoTime();
    P2pException failure =
        catchThrowableOfType(P2pException.class, () -> engine.connect(peer, timeout));
    assertThat(failure).as("connecting to %s", peer).isNotNull();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(timeout.plus(Limits.QUICK));
    return failure;
  }

  /** Sees an engine connect to a good peer. */
  private void worksWith(P2pEngine engine) throws InterruptedException {
    try (RemoteEngine there = peer().open(config())) {
      Connection connection = engine.connect(there.metadata(), Limits.PATIENCE);
      MemoryRegion local = engine.register(ByteBuffer.allocateDirect(SIZE));
      LocalRules.stillWorks(connection, local, there.register(SIZE));
    }
  }

  private static String awaitFailure(RemoteConnection connection) {
    long deadline = System.nanoTime() + Limits.PATIENCE.toNanos();
    String failure = connection.failure();
    while (failure.isEmpty() && System.nanoTime() - deadline < 0) {
      Thread.yield();
      failure = connection.failure();
    }
    return failure;
  }

  /** Somebody at a port who answers a handshake in a way of its own. */
  private static final class FakePeer implements AutoCloseable {

    private static final int HEADER_BYTES = 20;

    private final ServerSocket listener = listener();
    private final UnaryOperator<byte[]> answer;
    private final byte[] magic;

    /**
     * Starts it.
     *
     * @param answer from the frame that came, its length included, to the bytes that go back
     * @param magic the bytes that a handshake starts with; empty: does not wait for one
     */
    FakePeer(UnaryOperator<byte[]> answer, byte[] magic) throws IOException {
      this.answer = answer;
      this.magic = magic;
      Thread thread = new Thread(this::serve, "fake peer");
      thread.setDaemon(true);
      thread.start();
    }

    EndpointMetadata metadata() {
      return loopback(listener.getLocalPort());
    }

    private void serve() {
      while (true) {
        try (Socket socket = listener.accept()) {
          byte[] reply = answer.apply(magic.length == 0 ? new byte[0] : handshake(socket));
          OutputStream out = socket.getOutputStream();
          out.write(reply);
          out.flush();
          if (reply.length > 0) {
            // Stays until the other side goes.
            socket.getInputStream().transferTo(OutputStream.nullOutputStream());
          }
        } catch (IOException e) {
          if (listener.isClosed()) {
            return;
          }
        }
      }
    }

    /** The handshake with the length before it: u32, then 16 bytes, then as many as they say. */
    private byte[] handshake(Socket socket) throws IOException {
      byte[] header = socket.getInputStream().readNBytes(HEADER_BYTES);
      ByteBuffer fields = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < magic.length; i++) {
        if (header[4 + i] != magic[i]) {
          throw new IOException("not a handshake");
        }
      }
      byte[] rest = socket.getInputStream().readNBytes(Short.toUnsignedInt(fields.getShort(18)));
      return ByteBuffer.allocate(header.length + rest.length).put(header).put(rest).array();
    }

    @Override
    public void close() throws IOException {
      listener.close();
    }
  }
}
