package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.Connection;
import io.uccl.p2p.DeadlineExceededException;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.RegionInUseException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Two engines over the tcp transport, or one and a peer that does not move. */
@Timeout(120)
class TwoEnginesTest {

  private static final Duration WAIT = Duration.ofSeconds(30);

  @RegisterExtension final Opened opened = new Opened();

  private static EngineConfig config(String... variables) {
    Map<String, String> environment = new HashMap<>(Map.of("UCCL_SOCKET_IFNAME", "lo"));
    for (int i = 0; i < variables.length; i += 2) {
      environment.put(variables[i], variables[i + 1]);
    }
    return EngineConfig.of(environment).withTransport("tcp");
  }

  private DefaultP2pEngine engine(EngineConfig config) {
    return opened.closing(DefaultP2pEngine.open(config));
  }

  private Connection connect(DefaultP2pEngine from, DefaultP2pEngine to)
      throws InterruptedException {
    Connection connection = from.connect(to.metadata(), WAIT);
    assertThat(to.accept(WAIT)).isNotNull();
    return connection;
  }

  /** A connection to a peer that takes nothing and answers nothing. */
  private Connection frozen(DefaultP2pEngine engine) throws IOException, InterruptedException {
    FakePeer peer = opened.closing(new FakePeer());
    peer.serve(FakePeer::acceptAndFreeze);
    return engine.connect(peer.metadata(), WAIT);
  }

  private static MemoryRegion region(DefaultP2pEngine engine, int length) {
    return engine.register(ByteBuffer.allocateDirect(length));
  }

  @Test
  void longOperationsAreCutAndCountedAsOne() throws InterruptedException {
    DefaultP2pEngine left =
        engine(config("UCCL_P2P_MAX_INFLIGHT_OPS", "3").withMaxOperationBytes(1000));
    DefaultP2pEngine right = engine(config());
    Connection connection = connect(left, right);
    MemoryRegion local = region(left, 100_000);
    MemoryRegion back = region(left, 100_000);
    MemoryRegion remote = region(right, 100_000);
    byte[] bytes = new byte[100_000];
    new Random(1).nextBytes(bytes);
    local.slice(0, 100_000).put(bytes);
    int[] sizes = {0, 1, 999, 1000, 1001, 2000, 12_345, 0, 30_000};
    for (boolean write : new boolean[] {true, false}) {
      try (TransferBatch batch = connection.newBatch(sizes.length)) {
        int at = 0;
        for (int size : sizes) {
          if (write) {
            batch.write(local, at, remote.advertise(), at, size);
          } else {
            batch.read(back, at, remote.advertise(), at, size);
          }
          at += size;
        }
        for (int round = 0; round < 20; round++) {
          assertThat(batch.post()).isEqualTo(PostResult.POSTED);
          batch.await();
          for (int i = 0; i < sizes.length; i++) {
            assertThat(batch.status(i)).isEqualTo(TransferStatus.DONE);
          }
        }
        byte[] arrived = new byte[at];
        (write ? remote : back).slice(0, at).get(arrived);
        assertThat(arrived).isEqualTo(java.util.Arrays.copyOf(bytes, at));
        assertThat((write ? remote : back).slice(at, 100).get(0)).isZero();
      }
    }
  }

  @Test
  void eachOperationOfABatchHasItsOwnStatusAndTheFirstFailureIsTold() throws InterruptedException {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    Connection connection = connect(left, right);
    MemoryRegion local = region(left, 4096);
    MemoryRegion remote = region(right, 4096);
    FifoDescriptor good = remote.advertise();
    FifoDescriptor bad =
        FifoDescriptor.of(
            good.address(),
            4096,
            0,
            good.rid(),
            good.idx(),
            good.own0() + 1,
            good.own1(),
            good.own2());
    TransferBatch batch = connection.newBatch(4);
    batch.write(local, 0, good, 0, 64).read(local, 64, bad, 128, 64).write(local, 0, good, 64, 64);
    batch.post();
    assertThatThrownBy(batch::await)
        .isInstanceOfSatisfying(
            RemoteAccessException.class,
            e -> {
              assertThat(e.detail().operation()).isEqualTo("read of 64 bytes, operation 1 of 3");
              assertThat(e.detail().range())
                  .contains("0x" + Long.toHexString(good.address() + 128))
                  .contains("region " + good.rid());
              assertThat(e.detail().peer()).isEqualTo(right.metadata().toString());
              assertThat(e.detail().transport()).isEqualTo("tcp");
              assertThat(e.detail().remedy()).isNotEmpty();
              assertThat(e.getMessage()).doesNotContain("\n");
            });
    assertThat(batch.status()).isEqualTo(TransferStatus.FAILED);
    assertThat(batch.buffer()).isEqualTo(BufferState.FREE);
    assertThat(batch.status(0)).isEqualTo(TransferStatus.DONE);
    assertThat(batch.status(1)).isEqualTo(TransferStatus.FAILED);
    assertThat(batch.status(2)).isEqualTo(TransferStatus.DONE);
    assertThat(connection.isOpen()).isTrue();
    batch.clear().write(local, 0, good, 0, 64).post();
    batch.await();
    assertThat(batch.status(0)).isEqualTo(TransferStatus.DONE);
  }

  @Test
  void withoutProgressAnOperationFailsAndTakesItsConnectionWithIt()
      throws IOException, InterruptedException {
    DefaultP2pEngine engine = engine(config().withStallDeadline(Duration.ofMillis(150)));
    Connection connection = frozen(engine);
    MemoryRegion local = region(engine, 4096);
    CompletableFuture<P2pException> told = new CompletableFuture<>();
    connection.onClosed(told::complete);
    Transfer transfer = connection.write(local, 0, FakePeer.descriptor(4096));
    long start = System.nanoTime();
    assertThatThrownBy(transfer::await)
        .isInstanceOf(DeadlineExceededException.class)
        .hasMessageContaining("no progress for 150 ms")
        .hasMessageContaining("write of 4096 bytes, operation 0 of 1")
        .hasMessageContaining("0x1000")
        .hasMessageContaining(connection.remote().toString())
        .hasMessageContaining("Look whether the peer");
    assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.MILLISECONDS.toNanos(149));
    assertThat(transfer.buffer()).isEqualTo(BufferState.FREE);
    assertThat(connection.isOpen()).isFalse();
    assertThat(told).succeedsWithin(WAIT).isInstanceOf(DeadlineExceededException.class);
  }

  @Test
  void aDeadlineOfItsOwnStandsInPlaceOfTheOneWithoutProgress()
      throws IOException, InterruptedException {
    DefaultP2pEngine engine = engine(config().withStallDeadline(Duration.ofMillis(50)));
    Connection connection = frozen(engine);
    MemoryRegion local = region(engine, 4096);
    TransferBatch batch = connection.newBatch(1).write(local, 0, FakePeer.descriptor(64), 0, 64);
    long start = System.nanoTime();
    batch.post(Duration.ofMillis(400));
    assertThatThrownBy(batch::await)
        .isInstanceOf(DeadlineExceededException.class)
        .hasMessageContaining("the deadline passed")
        .hasMessageContaining("Give it more time");
    assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.MILLISECONDS.toNanos(399));
    assertThat(connection.isOpen()).isFalse();
  }

  @Test
  void whatIsQueuedExpiresAlone() throws IOException, InterruptedException {
    DefaultP2pEngine engine = engine(config("UCCL_P2P_MAX_INFLIGHT_OPS", "1"));
    Connection connection = frozen(engine);
    MemoryRegion local = region(engine, 4096);
    Transfer first = connection.write(local, 0, FakePeer.descriptor(64));
    TransferBatch queued = connection.newBatch(2);
    queued.write(local, 0, FakePeer.descriptor(64), 0, 64);
    queued.write(local, 0, FakePeer.descriptor(64), 0, 64);
    Transfer behind = connection.read(local, 0, FakePeer.descriptor(64));
    queued.post(Duration.ofMillis(30));
    assertThatThrownBy(queued::await).isInstanceOf(DeadlineExceededException.class);
    assertThat(connection.isOpen()).isTrue();
    assertThat(first.status()).isEqualTo(TransferStatus.IN_FLIGHT);
    assertThat(behind.status()).isEqualTo(TransferStatus.IN_FLIGHT);
    assertThatThrownBy(local::close)
        .isInstanceOf(RegionInUseException.class)
        .hasMessageContaining(
            "used by write of 64 bytes at offset 0 to " + connection.remote() + ", read of 64");
    connection.close();
    assertThatThrownBy(first::await).isInstanceOf(ResourceClosedException.class);
    assertThatThrownBy(behind::await).isInstanceOf(ResourceClosedException.class);
    local.close();
    assertThatThrownBy(() -> local.slice(0, 1)).isInstanceOf(ResourceClosedException.class);
  }

  @Test
  void aConnectionWithEnoughWaitingTakesNoMore() throws IOException, InterruptedException {
    DefaultP2pEngine engine = engine(config().withMaxQueuedOperations(10));
    Connection connection = frozen(engine);
    MemoryRegion local = region(engine, 64);
    TransferBatch first = filled(connection, local, 20);
    TransferBatch second = filled(connection, local, 1);
    assertThat(first.post()).as("nothing waits yet").isEqualTo(PostResult.POSTED);
    assertThat(second.post()).isEqualTo(PostResult.BACK_PRESSURED);
    assertThat(second.status()).isEqualTo(TransferStatus.IDLE);
    connection.close();
    assertThatThrownBy(first::await).isInstanceOf(ResourceClosedException.class);
    assertThat(second.post()).as("taken, to fail at once").isEqualTo(PostResult.POSTED);
    assertThatThrownBy(second::await).isInstanceOf(ResourceClosedException.class);
  }

  private static TransferBatch filled(Connection connection, MemoryRegion local, int operations) {
    TransferBatch batch = connection.newBatch(operations);
    for (int i = 0; i < operations; i++) {
      batch.write(local, 0, FakePeer.descriptor(64), 0, 64);
    }
    return batch;
  }

  @Test
  void closingAnEngineEndsEveryWaitAndLeavesNothing() throws Exception {
    int descriptors = Leftovers.descriptors();
    DefaultP2pEngine engine = DefaultP2pEngine.open(config());
    FakePeer peer = opened.closing(new FakePeer());
    peer.serve(FakePeer::acceptAndFreeze);
    Connection connection = engine.connect(peer.metadata(), WAIT);
    FakePeer silent = opened.closing(new FakePeer());
    CountDownLatch handshaking = new CountDownLatch(1);
    silent.serve(
        (self, control) -> {
          FakePeer.readFrame(control);
          handshaking.countDown();
        });
    MemoryRegion local = region(engine, 64);
    Transfer transfer = connection.write(local, 0, FakePeer.descriptor(64));
    List<CompletableFuture<Void>> waits = new ArrayList<>();
    List<Thread> threads = new ArrayList<>();
    waits.add(waiting(threads, transfer::await));
    waits.add(waiting(threads, () -> engine.accept(WAIT)));
    waits.add(waiting(threads, () -> engine.takeNotification(WAIT)));
    waits.add(waiting(threads, () -> engine.connect(silent.metadata(), WAIT)));
    handshaking.await();
    for (Thread thread : threads) {
      until(
          "a waiting thread",
          () ->
              thread.getState() == Thread.State.TIMED_WAITING
                  || thread.getState() == Thread.State.WAITING
                  || thread == threads.get(0));
    }
    long start = System.nanoTime();
    engine.close();
    assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(1));
    for (CompletableFuture<Void> wait : waits) {
      assertThatThrownBy(() -> wait.get(1, TimeUnit.SECONDS))
          .isInstanceOf(ExecutionException.class)
          .hasCauseInstanceOf(ResourceClosedException.class)
          .hasMessageContaining("engine was closed");
    }
    engine.close();
    local.close();
    connection.close();
    assertThat(connection.failure()).isInstanceOf(ResourceClosedException.class);
    assertThatThrownBy(() -> engine.accept(WAIT)).isInstanceOf(ResourceClosedException.class);
    assertThatThrownBy(() -> region(engine, 64)).isInstanceOf(ResourceClosedException.class);
    assertThatThrownBy(() -> engine.connect(peer.metadata(), WAIT))
        .isInstanceOf(ResourceClosedException.class);
    CompletableFuture<P2pException> late = new CompletableFuture<>();
    connection.onClosed(late::complete);
    assertThat(late).succeedsWithin(WAIT).isInstanceOf(ResourceClosedException.class);
    TransferBatch batch = connection.newBatch(1);
    assertThatThrownBy(() -> batch.write(local, 0, FakePeer.descriptor(64), 0, 64))
        .isInstanceOf(ResourceClosedException.class);
    peer.close();
    silent.close();
    until("no thread", () -> Leftovers.threads().isEmpty());
    until("no descriptor", () -> Leftovers.descriptors() <= descriptors);
  }

  private interface Wait {
    void run() throws Exception;
  }

  private static CompletableFuture<Void> waiting(List<Thread> threads, Wait wait) {
    CompletableFuture<Void> result = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                wait.run();
                result.complete(null);
              } catch (Exception e) {
                result.completeExceptionally(e);
              }
            });
    threads.add(thread);
    thread.start();
    return result;
  }

  /** Keeps the owner of a transport busy, so that the close of its engine cannot go on. */
  private static CountDownLatch holdUp(DefaultP2pEngine engine) throws InterruptedException {
    CountDownLatch entered = new CountDownLatch(1);
    CountDownLatch goOn = new CountDownLatch(1);
    Runnable busy =
        () -> {
          entered.countDown();
          assertThat(awaited(goOn)).isTrue();
        };
    new Thread(() -> engine.loop().run(busy)).start();
    assertThat(entered.await(WAIT.toSeconds(), TimeUnit.SECONDS)).isTrue();
    return goOn;
  }

  private static boolean awaited(CountDownLatch latch) {
    try {
      return latch.await(WAIT.toSeconds(), TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      return false;
    }
  }

  private static boolean isIn(String method, Thread thread) {
    return Stream.of(thread.getStackTrace()).anyMatch(f -> f.getMethodName().equals(method));
  }

  private static void assertClosed(DefaultP2pEngine engine) {
    assertThat(Leftovers.threads())
        .doesNotContain("p2p-control-" + engine.metadata().port(), "p2p-progress-tcp");
  }

  @Test
  void aSecondCloseReturnsWhenTheFirstHasClosedTheEngine() throws Exception {
    DefaultP2pEngine engine = engine(config());
    CountDownLatch goOn = holdUp(engine);
    List<Thread> threads = new ArrayList<>();
    List<CompletableFuture<Void>> closes = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      closes.add(
          waiting(
              threads,
              () -> {
                engine.close();
                assertClosed(engine);
              }));
    }
    until(
        "two wait for the one that closes",
        () -> threads.stream().filter(each -> isIn("awaitClosed", each)).count() == 2);
    threads.get(0).interrupt();
    goOn.countDown();
    for (CompletableFuture<Void> close : closes) {
      close.get(WAIT.toSeconds(), TimeUnit.SECONDS);
    }
  }

  @Test
  void theThreadForCallbacksIsThereFromTheBeginning() {
    DefaultP2pEngine engine = engine(config());
    assertThat(Leftovers.threads()).contains("p2p-callbacks-" + engine.metadata().port());
  }

  @Test
  void aCallbackMayCloseTheEngineWhileAnotherThreadClosesIt() throws Exception {
    DefaultP2pEngine engine = engine(config());
    Connection connection = frozen(engine);
    CompletableFuture<Thread> callback = new CompletableFuture<>();
    CompletableFuture<Void> closedByCallback = new CompletableFuture<>();
    connection.onClosed(
        cause -> {
          callback.complete(Thread.currentThread());
          engine.close();
          assertClosed(engine);
          closedByCallback.complete(null);
        });
    CountDownLatch first = holdUp(engine);
    List<Thread> threads = new ArrayList<>();
    CompletableFuture<Void> close = waiting(threads, engine::close);
    until("the close waits", () -> isIn("parkUntilChange", threads.get(0)));
    // Behind the first step of the close, which tells the connection's end, and ahead of the next.
    CountDownLatch second = new CountDownLatch(1);
    engine.loop().run(() -> assertThat(awaited(second)).isTrue());
    first.countDown();
    Thread thread = callback.get(WAIT.toSeconds(), TimeUnit.SECONDS);
    until("the callback waits for the close", () -> isIn("awaitClosed", thread));
    assertThat(close).isNotDone();
    second.countDown();
    close.get(WAIT.toSeconds(), TimeUnit.SECONDS);
    closedByCallback.get(WAIT.toSeconds(), TimeUnit.SECONDS);
  }

  @Test
  void aCallbackMayBeTheFirstToCloseTheEngine() throws Exception {
    DefaultP2pEngine engine = engine(config());
    Connection connection = frozen(engine);
    Connection another = frozen(engine);
    List<P2pException> told = Collections.synchronizedList(new ArrayList<>());
    CompletableFuture<Void> closed = new CompletableFuture<>();
    another.onClosed(told::add);
    connection.onClosed(
        cause -> {
          engine.close();
          assertClosed(engine);
          closed.complete(null);
        });
    connection.close();
    closed.get(WAIT.toSeconds(), TimeUnit.SECONDS);
    engine.close();
    until("the callbacks behind it are run too", () -> told.size() == 1);
  }

  @Test
  void anEngineThatCannotBeOpenedLeavesNothing() throws TimeoutException {
    DefaultP2pEngine first = engine(config());
    EngineConfig same = config("UCCL_P2P_CONTROL_PORT", Integer.toString(first.metadata().port()));
    java.util.Set<String> threads = Leftovers.threads();
    assertThatThrownBy(() -> DefaultP2pEngine.open(same))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining("UCCL_P2P_CONTROL_PORT");
    int descriptors = Leftovers.descriptors();
    for (int i = 0; i < 20; i++) {
      assertThatThrownBy(() -> DefaultP2pEngine.open(same)).isInstanceOf(P2pException.class);
    }
    assertThat(Leftovers.descriptors()).isLessThanOrEqualTo(descriptors);
    assertThat(Leftovers.threads()).isEqualTo(threads);
  }

  @Test
  void connectionsThatCameAndWentAreNotKeptForAccept() throws InterruptedException {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    for (int i = 0; i < 5; i++) {
      left.connect(right.metadata(), WAIT).close();
    }
    until("all gone", () -> ConnectionSetupTest.booksAreEmpty(right));
    assertThat(right.accept(Duration.ZERO)).isNull();
    connect(left, right);
  }

  @Test
  void anInboxThatIsFullHoldsTheSenderBackAndLosesNothing() throws InterruptedException {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    Connection connection = left.connect(right.metadata(), WAIT);
    Connection back = right.accept(WAIT);
    byte[] body = new byte[4 << 20];
    int sent = 0;
    // What the sender queues, the sockets hold and the inbox takes, and no more.
    while (right.inboxBudget().pausedLinks() == 0) {
      if (connection.sendNotification(Notification.of("n" + sent, body)) == PostResult.POSTED) {
        sent++;
      } else {
        Thread.yield();
      }
      assertThat(sent).isLessThan(100);
    }
    long used = right.inboxBudget().used();
    assertThat(used).isBetween(InboxBudget.DEFAULT_BYTES, InboxBudget.DEFAULT_BYTES + (5 << 20));
    while (connection.sendNotification(Notification.of("n" + sent, body)) == PostResult.POSTED) {
      sent++;
      assertThat(sent).isLessThan(100);
    }
    // Each of these takes a round of the receiver's thread, which would read more if it read.
    for (int i = 0; i < 200; i++) {
      back.sendNotification(note("ping"));
      assertThat(left.takeNotification(WAIT)).isNotNull();
    }
    assertThat(right.inboxBudget().used()).isBetween(used, InboxBudget.DEFAULT_BYTES + (5L << 20));
    for (int i = 0; i < sent; i++) {
      ReceivedNotification received = right.takeNotification(WAIT);
      assertThat(received).as("notification %d of %d", i, sent).isNotNull();
      assertThat(received.notification().nameText()).isEqualTo("n" + i);
    }
    assertThat(right.inboxBudget().used()).isZero();
    assertThat(right.inboxBudget().pausedLinks()).isZero();
    connection.sendNotification(Notification.of("last", new byte[0]));
    assertThat(right.takeNotification(WAIT).notification().nameText()).isEqualTo("last");
  }

  @Test
  void aNotificationAfterATransferComesAlsoWhenTheBatchIsUsedAgain() throws InterruptedException {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    DefaultConnection connection = (DefaultConnection) connect(left, right);
    MemoryRegion local = region(left, 64);
    MemoryRegion remote = region(right, 64);
    OperationBatch batch = (OperationBatch) connection.newBatch(1);
    assertThatThrownBy(() -> connection.sendAfter(batch, note("never posted")))
        .isInstanceOf(IllegalArgumentException.class);
    batch.write(local, 0, remote.advertise(), 0, 64).post();
    batch.await();
    batch.clear();
    // As when the owner comes to it only now.
    connection.hold(batch, ControlCodec.encode(note("behind a batch that was cleared")));
    assertThat(right.takeNotification(WAIT).notification())
        .isEqualTo(note("behind a batch that was cleared"));
  }

  @Test
  void aNotificationAfterATransferThatHasEndedIsNotOvertaken() throws Exception {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    Connection connection = connect(left, right);
    Transfer transfer = ended(connection, left, right);
    whileTheOwnerIsBusy(
        left,
        () -> {
          connection.sendAfter(transfer, note("first"));
          connection.sendNotification(note("second"));
        });
    assertThat(right.takeNotification(WAIT).notification()).isEqualTo(note("first"));
    assertThat(right.takeNotification(WAIT).notification()).isEqualTo(note("second"));
  }

  @Test
  void flushWaitsForANotificationAfterATransferThatHasEnded() throws Exception {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    Connection connection = connect(left, right);
    Transfer transfer = ended(connection, left, right);
    AtomicReference<ReceivedNotification> arrived = new AtomicReference<>();
    whileTheOwnerIsBusy(
        left,
        () -> {
          connection.sendAfter(transfer, note("behind"));
          connection.flushNotifications(WAIT);
          arrived.set(right.pollNotification());
        });
    assertThat(arrived.get()).isNotNull();
  }

  @Test
  void flushWaitsNoLongerThanItsTimeForABusyOwner() throws Exception {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    Connection connection = connect(left, right);
    Transfer transfer = ended(connection, left, right);
    CountDownLatch goOn = holdUp(left);
    connection.sendAfter(transfer, note("behind"));
    assertThat(connection.flushNotifications(Duration.ofMillis(10))).isFalse();
    goOn.countDown();
    assertThat(connection.flushNotifications(WAIT)).isTrue();
    assertThat(right.pollNotification()).isNotNull();
  }

  /** A transfer that has ended well. */
  private static Transfer ended(
      Connection connection, DefaultP2pEngine left, DefaultP2pEngine right)
      throws InterruptedException {
    Transfer transfer = connection.write(region(left, 64), 0, region(right, 64).advertise());
    transfer.await();
    return transfer;
  }

  /** The owner goes on when a caller waits for it, or has done all without it. */
  private static void whileTheOwnerIsBusy(DefaultP2pEngine engine, Wait caller) throws Exception {
    CountDownLatch goOn = holdUp(engine);
    List<Thread> threads = new ArrayList<>();
    CompletableFuture<Void> over = waiting(threads, caller);
    until(
        "the caller waits for the owner, or is through",
        () -> over.isDone() || isIn("parkUntilChange", threads.get(0)));
    goOn.countDown();
    over.get(WAIT.toSeconds(), TimeUnit.SECONDS);
  }

  @Test
  void notificationsThatWaitForATransferMeetBackPressureToo()
      throws IOException, InterruptedException {
    DefaultP2pEngine engine = engine(config());
    Connection connection = frozen(engine);
    MemoryRegion local = region(engine, 64);
    Transfer transfer = connection.write(local, 0, FakePeer.descriptor(64));
    Notification large = Notification.of("large", new byte[16 << 20]);
    int taken = 0;
    while (connection.sendAfter(transfer, large) == PostResult.POSTED) {
      taken++;
      assertThat(taken).isLessThan(10);
    }
    assertThat(taken).isEqualTo(4);
    assertThat(connection.sendNotification(note("small"))).isEqualTo(PostResult.BACK_PRESSURED);
    connection.close();
    assertThatThrownBy(transfer::await).isInstanceOf(ResourceClosedException.class);
  }

  @Test
  void whatAFailedTransferHeldBackCountsNoMore() throws IOException, InterruptedException {
    DefaultP2pEngine engine = engine(config("UCCL_P2P_MAX_INFLIGHT_OPS", "1"));
    Connection connection = frozen(engine);
    MemoryRegion local = region(engine, 64);
    Transfer inFlight = connection.write(local, 0, FakePeer.descriptor(64));
    TransferBatch queued = filled(connection, local, 1);
    Notification large = Notification.of("large", new byte[Notification.MAX_FRAME_BYTES / 2]);
    queued.post(Duration.ofSeconds(3));
    while (connection.sendAfter(queued, large) == PostResult.POSTED) {
      assertThat(queued.status()).isEqualTo(TransferStatus.IN_FLIGHT);
    }
    assertThatThrownBy(queued::await).isInstanceOf(DeadlineExceededException.class);
    assertThat(connection.sendNotification(note("small"))).isEqualTo(PostResult.POSTED);
    connection.close();
    assertThatThrownBy(inFlight::await).isInstanceOf(ResourceClosedException.class);
  }

  @Test
  void whatATransferHeldBackIsSentOnceAndCountsUntilItIsConfirmed() throws InterruptedException {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    Connection connection = connect(left, right);
    MemoryRegion local = region(left, 64);
    FifoDescriptor there = region(right, 64).advertise();
    // Three times what may be unconfirmed.
    for (int i = 0; i < 12; i++) {
      Transfer transfer = connection.write(local, 0, there);
      Notification large = Notification.of("n" + i, new byte[16 << 20]);
      assertThat(connection.sendAfter(transfer, large)).isEqualTo(PostResult.POSTED);
      transfer.await();
      assertThat(right.takeNotification(WAIT).notification()).isEqualTo(large);
      assertThat(connection.flushNotifications(WAIT)).isTrue();
    }
    assertThat(right.pollNotification()).isNull();
  }

  @Test
  void anOperationThatWasAddedAfterTheBatchEndedIsNotPosted() throws InterruptedException {
    DefaultP2pEngine left = engine(config());
    DefaultP2pEngine right = engine(config());
    Connection connection = connect(left, right);
    MemoryRegion local = region(left, 64);
    FifoDescriptor there = region(right, 64).advertise();
    TransferBatch batch = connection.newBatch(2).write(local, 0, there, 0, 64);
    batch.post();
    batch.await();
    batch.write(local, 0, there, 0, 64);
    assertThat(batch.status(0)).isEqualTo(TransferStatus.DONE);
    assertThat(batch.status(1)).isEqualTo(TransferStatus.IDLE);
    batch.post();
    batch.await();
    assertThat(batch.status(1)).isEqualTo(TransferStatus.DONE);
  }

  private static Notification note(String text) {
    return Notification.of(text, text.getBytes(StandardCharsets.UTF_8));
  }
}
