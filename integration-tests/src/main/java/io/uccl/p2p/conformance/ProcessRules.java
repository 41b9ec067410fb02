package io.uccl.p2p.conformance;

import static io.uccl.p2p.conformance.Session.check;
import static io.uccl.p2p.conformance.Session.fill;
import static io.uccl.p2p.conformance.Session.finish;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinWorkerThread;
import java.util.concurrent.Future;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Rules about how engine and transport behave in the process that they are guests of. */
abstract class ProcessRules extends Rules {

  private static final int SIZE = 200_000;
  private static final long SEED = 808;

  ProcessRules(TransportConformance kit) {
    super(kit);
  }

  // -- interrupts

  @Test
  @DisplayName("P1 Interrupting who waits for a transfer ends the wait; the transfer goes on")
  void interruptedWaiter() throws Exception {
    ExecutorService pool = Executors.newSingleThreadExecutor();
    try (Hold hold = hold();
        Session session = session(hold.config())) {
      MemoryRegion local = session.local(SIZE);
      fill(local, SEED);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      SynchronousQueue<Thread> starting = new SynchronousQueue<>();
      Transfer transfer;
      hold.begin();
      try {
        transfer = session.connection().write(local, 0, there);
        Future<Integer> waiter =
            pool.submit(
                () -> {
                  int interrupts = 0;
                  for (int i = 0; i < 50; i++) {
                    starting.put(Thread.currentThread());
                    try {
                      transfer.await();
                    } catch (InterruptedException e) {
                      interrupts++;
                    }
                  }
                  return interrupts;
                });
        for (int i = 0; i < 50; i++) {
          Thread thread = starting.poll(10, TimeUnit.SECONDS);
          assertThat(thread).isNotNull();
          for (int spin = 0; spin < i * 200; spin++) {
            Thread.onSpinWait();
          }
          thread.interrupt();
        }
        assertThat(waiter.get(10, TimeUnit.SECONDS)).isEqualTo(50);
        assertThat(session.connection().isOpen()).isTrue();
      } finally {
        hold.end();
      }
      finish(transfer);
      remote.check("the write", SEED);
      LocalRules.stillWorks(session.connection(), local, remote);
    } finally {
      pool.shutdownNow();
    }
  }

  @Test
  @DisplayName("P2 Interrupting a thread whose bytes are on their way loses no byte and no peer")
  void interruptsAmidTransfers() throws Exception {
    int rounds = times(200);
    ExecutorService pool = Executors.newSingleThreadExecutor();
    try (Session session = session()) {
      MemoryRegion out = session.local(2_000_000);
      MemoryRegion in = session.local(2_000_000);
      RemoteRegion remote = session.remote(2_000_000);
      FifoDescriptor there = remote.advertise();
      SynchronousQueue<Thread> posted = new SynchronousQueue<>();
      Future<Integer> worker =
          pool.submit(
              () -> {
                int interrupts = 0;
                for (int round = 1; round <= rounds; round++) {
                  Pattern.fill(out, 0, 4096, round, 0);
                  Transfer write = session.connection().write(out, 0, there);
                  handOver(posted);
                  interrupts += finishInterrupted(write);
                  interrupts += finishInterrupted(session.connection().read(in, 0, there));
                  check("round " + round, in, 0, 4096, round, 0);
                }
                return interrupts;
              });
      for (int round = 1; round <= rounds; round++) {
        Thread thread = posted.poll(10, TimeUnit.SECONDS);
        assertThat(thread).isNotNull();
        thread.interrupt();
      }
      assertThat(worker.get(30, TimeUnit.SECONDS)).isPositive();
      LocalRules.stillWorks(session.connection(), out, remote);
    } finally {
      pool.shutdownNow();
    }
  }

  /** An interrupt of the round before may come as late as this; it is not meant for the queue. */
  private static void handOver(SynchronousQueue<Thread> posted) {
    while (true) {
      try {
        posted.put(Thread.currentThread());
        return;
      } catch (InterruptedException late) {
        assertThat(Thread.currentThread().isInterrupted()).isFalse();
      }
    }
  }

  /** Waits as often as it is interrupted, and returns how often it was. */
  private static int finishInterrupted(Transfer transfer) {
    int interrupts = 0;
    while (true) {
      try {
        finish(transfer);
        return interrupts;
      } catch (InterruptedException e) {
        interrupts++;
      }
    }
  }

  @Test
  @DisplayName("P3 A waiter whose interrupt flag is set returns at once, and does not spin")
  void flagSetBefore() throws Exception {
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
        long start = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
        for (int i = 0; i < 100; i++) {
          Thread.currentThread().interrupt();
          assertThatExceptionOfType(InterruptedException.class)
              .isThrownBy(() -> transfer.await(Limits.PATIENCE));
          assertThat(Thread.currentThread().isInterrupted()).as("the flag was consumed").isFalse();
        }
        long spent = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - start;
        assertThat(Duration.ofNanos(spent)).as("processor time").isLessThan(Duration.ofSeconds(2));
      } finally {
        Thread.interrupted();
        hold.end();
      }
      finish(transfer);
      remote.check("the write", SEED);
    }
  }

  @Test
  @DisplayName("P4 What does not throw InterruptedException works with the flag set, and keeps it")
  void flagIsKept() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      fill(local, SEED);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      Transfer transfer;
      Connection connection = session.connection();
      Thread.currentThread().interrupt();
      try {
        MemoryRegion another = session.local(10);
        assertThat(Thread.currentThread().isInterrupted()).as("after register").isTrue();
        transfer = connection.write(local, 0, there);
        boolean over = transfer.poll();
        long deadline = System.nanoTime() + Limits.PATIENCE.toNanos();
        while (!over && System.nanoTime() - deadline < 0) {
          over = transfer.poll();
        }
        assertThat(over).as("polling alone ends a transfer").isTrue();
        connection.sendNotification(Notification.of("n", new byte[0]));
        another.close();
        assertThat(Thread.currentThread().isInterrupted()).as("after all").isTrue();
      } finally {
        assertThat(Thread.interrupted()).isTrue();
      }
      finish(transfer);
      remote.check("the write", SEED);
      assertThat(session.peer().take().nameText()).isEqualTo("n");
      LocalRules.stillWorks(connection, local, remote);
      Thread.currentThread().interrupt();
      LocalRules.quickly("close with the flag set", session.engine()::close);
      assertThat(Thread.interrupted()).as("after close").isTrue();
    }
  }

  // -- neighbours

  @Test
  @DisplayName("P5 A child process that is started amid transfers harms nothing")
  void childProcess() throws Exception {
    int size = 4 << 20;
    ExecutorService pool = Executors.newSingleThreadExecutor();
    List<Process> children = new ArrayList<>();
    try (Session session = session()) {
      MemoryRegion local = session.local(size);
      RemoteRegion remote = session.remote(size);
      FifoDescriptor there = remote.advertise();
      Connection doomed = session.connectAgain();
      CountDownLatch running = new CountDownLatch(10);
      CountDownLatch spawned = new CountDownLatch(1);
      Future<Integer> transfers =
          pool.submit(
              () -> {
                int round = 0;
                while (spawned.getCount() > 0 || round < times(20)) {
                  round++;
                  Pattern.fill(local, 0, 4096, round, 0);
                  finish(session.connection().write(local, 0, there));
                  running.countDown();
                }
                return round;
              });
      assertThat(running.await(30, TimeUnit.SECONDS)).isTrue();
      for (int i = 0; i < 5; i++) {
        // It lives until its input ends.
        children.add(new ProcessBuilder("cat").start());
      }
      spawned.countDown();
      int rounds = transfers.get(30, TimeUnit.SECONDS);
      remote.check("the last round", 0, 4096, rounds, 0);
      // A child that had inherited the socket would keep the connection alive.
      doomed.close();
      LocalRules.stillWorks(session.connection(), local, remote);
      assertThat(children).allMatch(Process::isAlive);
      session.engine().close();
      long deadline = System.nanoTime() + Limits.PATIENCE.toNanos();
      while (session.back().failure().isEmpty() && System.nanoTime() - deadline < 0) {
        Thread.yield();
      }
      assertThat(session.back().failure()).as("the peer saw the end").isNotEmpty();
    } finally {
      children.forEach(Process::destroy);
      pool.shutdownNow();
    }
  }

  @Test
  @DisplayName("P6 Two engines in one process, on transports of their own, work side by side")
  void twoEngines() throws InterruptedException {
    try (Session one = session();
        Session two = session(kit().second())) {
      assertThat(one.engine().transport().name()).isEqualTo(kit().transport());
      assertThat(two.engine().transport().name()).isNotEqualTo(kit().transport());
      MemoryRegion local = one.local(SIZE);
      MemoryRegion other = two.local(SIZE);
      RemoteRegion remote = one.remote(SIZE);
      RemoteRegion elsewhere = two.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      FifoDescriptor further = elsewhere.advertise();
      for (int round = 1; round <= 20; round++) {
        fill(local, round);
        fill(other, -round);
        Transfer first = one.connection().write(local, 0, there);
        Transfer next = two.connection().write(other, 0, further);
        finish(next);
        finish(first);
        remote.check("first engine", round);
        elsewhere.check("second engine", -round);
      }
      two.engine().close();
      LocalRules.stillWorks(one.connection(), local, remote);
    }
  }

  // -- what it takes, and gives back

  @Test
  @DisplayName("P7 Closing an engine leaves no thread and no open file")
  void nothingIsLeft() throws Exception {
    openAndUse();
    openAndUse();
    Set<Thread> before = new HashSet<>(Thread.getAllStackTraces().keySet());
    int files = openFiles();
    for (int i = 0; i < 12; i++) {
      openAndUse();
    }
    // What the last one had may outlive its close a little.
    until("no open files are left", () -> openFiles() < files + 6);
    for (Thread each : Thread.getAllStackTraces().keySet()) {
      if (!before.contains(each) && isOurs(each)) {
        each.join(Limits.PATIENCE.toMillis());
        assertThat(each.isAlive()).as("%s is alive", each).isFalse();
      }
    }
  }

  /** Threads of the JDK itself live in the system's groups. */
  private static boolean isOurs(Thread thread) {
    ThreadGroup group = thread.getThreadGroup();
    return group != null
        && group.getParent() != null
        && !group.getName().startsWith("Innocuous")
        && !(thread instanceof ForkJoinWorkerThread);
  }

  private void openAndUse() throws InterruptedException {
    try (Session session = session()) {
      LocalRules.stillWorks(session.connection(), session.local(SIZE), session.remote(SIZE));
    }
  }

  private static int openFiles() {
    try (Stream<Path> files = Files.list(Path.of("/proc/self/fd"))) {
      return (int) files.count();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  @DisplayName("P8 Posting, polling and waiting need no thread but the caller's")
  void callersDrive() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      try (TransferBatch batch = session.connection().newBatch(4)) {
        for (int i = 0; i < 4; i++) {
          batch.write(local, i * 1000L, there, i * 1000L, 1000);
        }
        int rounds = times(500);
        for (int round = 1; round <= rounds; round++) {
          Pattern.fill(local, 0, 4000, round, 0);
          assertThat(batch.post()).isEqualTo(PostResult.POSTED);
          long deadline = System.nanoTime() + Limits.PATIENCE.toNanos();
          boolean over = batch.poll();
          while (!over && System.nanoTime() - deadline < 0) {
            over = batch.poll();
          }
          finish(batch);
        }
        remote.check("the last round", 0, 4000, rounds, 0);
      }
    }
  }

  // -- selection

  @Test
  @DisplayName("P9 The environment of a process selects the transport")
  void selectionByEnvironment() throws InterruptedException {
    Map<String, String> environment = new HashMap<>(kit().environment());
    environment.put("UCCL_P2P_TRANSPORT", kit().transport());
    try (PeerProcess child = anotherPeer(environment);
        RemoteEngine there = child.openFromEnvironment();
        P2pEngine engine = P2pEngine.open(EngineConfig.of(environment))) {
      assertThat(there.transport()).isEqualTo(kit().transport());
      TransportChoice choice = engine.transport();
      assertThat(choice.name()).isEqualTo(kit().transport());
      assertThat(choice.reason()).contains("UCCL_P2P_TRANSPORT");
      assertThat(choice.candidates())
          .anySatisfy(
              each -> {
                assertThat(each.name()).isEqualTo(kit().transport());
                assertThat(each.available()).isTrue();
              });
      Connection connection = engine.connect(there.metadata(), Limits.PATIENCE);
      MemoryRegion local = engine.register(ByteBuffer.allocateDirect(SIZE));
      LocalRules.stillWorks(connection, local, there.register(SIZE));
    }
  }

  @Test
  @DisplayName("P10 A wrong name in the environment is told, and names the variable")
  void wrongNames() {
    Map<String, String> environment = new HashMap<>(kit().environment());
    environment.put("UCCL_P2P_TRANSPORT", kit().transport() + "x");
    assertThatExceptionOfType(ConfigurationException.class)
        .isThrownBy(() -> P2pEngine.open(EngineConfig.of(environment)))
        .withMessageContaining("UCCL_P2P_TRANSPORT")
        .withMessageContaining(kit().transport() + "x");
    environment.put("UCCL_P2P_TRANSPORT", kit().transport());
    environment.put("UCCL_P2P_TRANSPROT", kit().transport());
    assertThatExceptionOfType(ConfigurationException.class)
        .isThrownBy(() -> P2pEngine.open(EngineConfig.of(environment)))
        .withMessageContaining("UCCL_P2P_TRANSPROT");
  }

  @Test
  @DisplayName("P11 The provider is found, says that it is available, and keeps its promises")
  void provider() {
    Optional<TransportProvider> found = WatchedTransportProvider.find(kit().transport());
    assertThat(found).as("provider of %s found by ServiceLoader", kit().transport()).isPresent();
    TransportProvider provider = found.orElseThrow();
    assertThat(provider.name()).matches("[a-z0-9-]+");
    assertThat(provider.defaultInflightOperations()).isBetween(1, 256);
    Availability availability = provider.probe(kit().environment());
    assertThat(availability.available()).as(availability.detail()).isTrue();
    assertThat(availability.detail()).isNotBlank();
    P2pEngine engine = P2pEngine.open(config());
    TransportContext context =
        new TransportContext(kit().environment(), engine.metadata().address(), 16, 0);
    engine.close();
    Transport transport = provider.open(context);
    try {
      assertThat(transport.capabilities()).isEqualTo(kit().capabilities());
      assertThat(transport.capabilities().maxOperationBytes()).isPositive();
    } finally {
      transport.close();
    }
    transport.close();
    transport.wakeup();
  }
}
