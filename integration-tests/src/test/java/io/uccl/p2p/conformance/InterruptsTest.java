package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferStatus;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Interrupting callers that wait ends their waits, and costs no transfer, no connection and no
 * processor time.
 */
@Tag("prove")
@Tag("interrupts")
@Timeout(value = 10, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class InterruptsTest {

  private static final int INTERRUPTS = Boolean.getBoolean("p2p.prove") ? 1000 : 50;

  /** Takes tcp milliseconds on loopback, so that an interrupt finds it under way. */
  private static final int LARGE = 32 << 20;

  private static final int SMALL = 4096;

  /** Waits that end before their interrupt comes do not count; after so many the test gives up. */
  private static final int MOST_WAITS = 10 * INTERRUPTS;

  private static final int FLAGGED_WAITS = 10 * INTERRUPTS;

  /**
   * A waiter that has nothing to do asks for 100 microseconds before it blocks. One that returns at
   * once does not even begin with that.
   */
  private static final long MOST_NANOS_A_FLAGGED_WAIT = TimeUnit.MICROSECONDS.toNanos(100);

  private static final String ENGINE = "io.uccl.p2p.engine.";

  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private final ExecutorService pool = Executors.newCachedThreadPool();
  private PeerProcess process;
  private Session session;

  @BeforeEach
  void open() throws InterruptedException {
    process = PeerProcess.start();
    session =
        Session.open(
            process, EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp"));
  }

  @AfterEach
  void close() {
    pool.shutdownNow();
    try {
      session.close();
    } finally {
      process.close();
    }
  }

  @Test
  void interruptingWaitersAmidLargeTransfersLosesNothing() throws Exception {
    MemoryRegion out = session.local(LARGE);
    MemoryRegion in = session.local(LARGE);
    FifoDescriptor there = session.remote(LARGE).advertise();
    FifoDescriptor elsewhere = session.remote(SMALL).advertise();
    AtomicBoolean over = new AtomicBoolean();
    // Another caller waits all the time, so the interrupted one now drives and now is parked.
    Future<Integer> neighbour = pool.submit(() -> transferUntil(over, elsewhere));
    transfer(out, in, there, 0);
    Footprint before = Footprint.now();
    int interrupts = 0;
    int waits = 0;
    for (int round = 1; interrupts < INTERRUPTS; round++) {
      assertThat(waits).as("waits for %d interrupts", interrupts).isLessThan(MOST_WAITS);
      interrupts += transfer(out, in, there, round);
      waits += 2;
    }
    over.set(true);
    int undisturbed = neighbour.get(30, TimeUnit.SECONDS);
    assertThat(undisturbed).as("the neighbour's transfers").isPositive();
    assertThat(session.connection().isOpen()).isTrue();
    assertThat(session.back().failure()).as("the same connection, as the peer has it").isEmpty();
    awaitNothingBeyond(before);
    System.out.printf(
        "%d interrupts of %d waits amid transfers of %d bytes; %d transfers beside them%n",
        interrupts, waits, LARGE, 2 * undisturbed);
  }

  @Test
  void aWaiterWhoseFlagIsSetReturnsAtOnce() throws Exception {
    MemoryRegion local = session.local(SMALL);
    Session.fill(local, 1);
    RemoteRegion remote = session.remote(SMALL);
    FifoDescriptor there = remote.advertise();
    Transfer transfer;
    process.suspend();
    try {
      transfer = session.connection().write(local, 0, there);
      awaitWithFlag(transfer, FLAGGED_WAITS / 10);
      long start = THREADS.getCurrentThreadCpuTime();
      awaitWithFlag(transfer, FLAGGED_WAITS);
      long nanos = (THREADS.getCurrentThreadCpuTime() - start) / FLAGGED_WAITS;
      System.out.printf("%d ns of processor time a wait with the flag set%n", nanos);
      assertThat(nanos).as("processor time of a wait").isLessThan(MOST_NANOS_A_FLAGGED_WAIT);
    } finally {
      Thread.interrupted();
      process.resume();
    }
    Session.finish(transfer);
    remote.check("the write", 1);
  }

  private static void awaitWithFlag(Transfer transfer, int times) {
    int interrupts = 0;
    for (int i = 0; i < times; i++) {
      Thread.currentThread().interrupt();
      try {
        transfer.await(Limits.PATIENCE);
      } catch (InterruptedException e) {
        interrupts++;
      }
    }
    assertThat(interrupts).isEqualTo(times);
    assertThat(transfer.status()).isEqualTo(TransferStatus.IN_FLIGHT);
  }

  @Test
  void whatWaitsInSpiteOfTheFlagDoesNotSpin() {
    MemoryRegion region = session.local(SMALL);
    session.connection().sendNotification(Notification.of("region", region.advertise().encode()));
    process.suspend();
    try {
      Thread.currentThread().interrupt();
      long wall = System.nanoTime();
      long start = THREADS.getCurrentThreadCpuTime();
      // Half a second for the peer, which does not answer.
      region.close();
      long nanos = THREADS.getCurrentThreadCpuTime() - start;
      wall = System.nanoTime() - wall;
      assertThat(Thread.interrupted()).as("the flag is kept").isTrue();
      System.out.printf("%d ns of processor time in a wait of %d ns%n", nanos, wall);
      assertThat(wall).as("it waited").isGreaterThan(TimeUnit.MILLISECONDS.toNanos(400));
      // Who spins has a core all the time; even beside four others it has a fifth of that.
      assertThat(nanos).as("processor time").isLessThan(wall / 5);
    } finally {
      Thread.interrupted();
      process.resume();
    }
  }

  /**
   * Writes a round's bytes to the peer and reads them back.
   *
   * @return how often a wait was interrupted while its transfer was under way
   */
  private int transfer(MemoryRegion out, MemoryRegion in, FifoDescriptor there, int round)
      throws Exception {
    Session.fill(out, round);
    int interrupts = finishInterrupted(session.connection().write(out, 0, there), round);
    interrupts += finishInterrupted(session.connection().read(in, 0, there), round);
    Session.check("round " + round, in, round);
    return interrupts;
  }

  /** Waits, is interrupted, and waits again. Returns 0 if the transfer was over before. */
  private int finishInterrupted(Transfer transfer, int round) throws Exception {
    Thread waiter = Thread.currentThread();
    AtomicBoolean returned = new AtomicBoolean();
    Future<?> interrupter = pool.submit(() -> interruptInAwait(waiter, round % 10, returned));
    boolean interrupted = false;
    try {
      transfer.await(Limits.PATIENCE);
    } catch (InterruptedException e) {
      interrupted = true;
    } finally {
      returned.set(true);
    }
    boolean wasUnderWay = transfer.status() == TransferStatus.IN_FLIGHT;
    while (!interrupter.isDone()) {
      Thread.yield();
    }
    // One that came too late for the wait is still there; the one that ended it is not.
    assertThat(Thread.interrupted()).as("the flag, after the wait").isNotEqualTo(interrupted);
    Session.finish(transfer);
    return interrupted && wasUnderWay ? 1 : 0;
  }

  /** Interrupts a thread that waits for a transfer, some time after its wait began. */
  private static void interruptInAwait(Thread waiter, int delay, AtomicBoolean returned) {
    while (!isInAwait(waiter) && !returned.get()) {
      Thread.onSpinWait();
    }
    for (int spin = 0; spin < delay * 1000; spin++) {
      Thread.onSpinWait();
    }
    waiter.interrupt();
  }

  private static boolean isInAwait(Thread thread) {
    for (StackTraceElement frame : thread.getStackTrace()) {
      if (frame.getMethodName().equals("await") && frame.getClassName().startsWith(ENGINE)) {
        return true;
      }
    }
    return false;
  }

  /** Writes a few bytes and reads them back, again and again; returns how often. */
  private int transferUntil(AtomicBoolean over, FifoDescriptor there) throws InterruptedException {
    MemoryRegion out = session.local(SMALL);
    MemoryRegion in = session.local(SMALL);
    int round = 0;
    while (!over.get()) {
      round++;
      Session.fill(out, round);
      Session.finish(session.connection().write(out, 0, there));
      Session.finish(session.connection().read(in, 0, there));
      Session.check("the neighbour's round " + round, in, round);
    }
    return round;
  }

  private static void awaitNothingBeyond(Footprint before) {
    long start = System.nanoTime();
    String left;
    do {
      left = Footprint.now().beyond(before);
    } while (!left.isEmpty() && System.nanoTime() - start < Limits.PATIENCE.toNanos());
    assertThat(left).as("left behind").isEmpty();
  }
}
