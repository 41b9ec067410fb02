package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The loop over a network that a test holds in its hands. */
@Timeout(120)
class ProgressLoopTest {

  /** Ends what was posted when the test, or another thread, lets it; checks who calls it. */
  private static final class FakeWork implements ProgressLoop.Work {
    final ConcurrentLinkedQueue<Item> arrived = new ConcurrentLinkedQueue<>();
    final Semaphore wakeups = new Semaphore(0);
    final AtomicReference<Thread> inside = new AtomicReference<>();
    final AtomicReference<Throwable> offOwner = new AtomicReference<>();
    final AtomicInteger drives = new AtomicInteger();
    final CountDownLatch blocked = new CountDownLatch(1);
    volatile @Nullable Thread lastDriver;
    volatile @Nullable Throwable throwNext;
    volatile @Nullable RuntimeException throwInBlock;
    volatile @Nullable Throwable brokenBy;

    /**
     * Ended by a deadline when a caller drives for the second time in a row: that moves nothing.
     */
    volatile @Nullable Item overdue;

    /** There is always something that moves. */
    volatile boolean busy;

    private int drivesOfCaller;
    ProgressLoop loop;

    private void enter() {
      Thread other = inside.getAndSet(Thread.currentThread());
      if (other != null && other != Thread.currentThread()) {
        offOwner.compareAndSet(null, new AssertionError("two owners: " + other));
      }
    }

    @Override
    public boolean drive() {
      enter();
      try {
        drives.incrementAndGet();
        lastDriver = Thread.currentThread();
        boolean moved = loop.executeSubmissions();
        Throwable failure = throwNext;
        if (failure != null) {
          throwNext = null;
          if (failure instanceof Error error) {
            throw error;
          }
          throw (RuntimeException) failure;
        }
        for (Item item = arrived.poll(); item != null; item = arrived.poll()) {
          item.end();
          moved = true;
        }
        Item ending = overdue;
        if (ending != null && Thread.currentThread() == ending.waiter && ++drivesOfCaller == 2) {
          // Longer than an owner spins: it would block next.
          LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(2));
          ending.over = true;
        }
        return moved || busy;
      } finally {
        inside.set(null);
      }
    }

    @Override
    public void block(long nanos) {
      enter();
      blocked.countDown();
      Item ending = overdue;
      // The thread that waited may not block; the progress thread may, once it has taken over.
      if (ending != null && ending.over && ending.waiter == Thread.currentThread()) {
        offOwner.compareAndSet(null, new AssertionError("blocks, and what it waits for is over"));
      }
      try {
        RuntimeException failure = throwInBlock;
        if (failure != null) {
          throw failure;
        }
        if (arrived.isEmpty() && wakeups.tryAcquire(nanos, TimeUnit.NANOSECONDS)) {
          wakeups.drainPermits();
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } finally {
        inside.set(null);
      }
    }

    @Override
    public void wakeup() {
      wakeups.release();
    }

    @Override
    public void broken(Throwable cause) {
      assertThat(brokenBy).as("called once").isNull();
      brokenBy = cause;
    }

    /** The network brings something. */
    void arrive(Item item) {
      arrived.add(item);
      wakeup();
    }
  }

  /** Something to submit and to wait for. */
  private static final class Item extends Submission implements ProgressLoop.Awaited {
    final AtomicInteger executed = new AtomicInteger();
    final @Nullable FakeWork endsBy;
    volatile boolean over;
    volatile @Nullable Thread waiter;

    /** Ends in the next drive after it was executed, or when the test says so. */
    Item(@Nullable FakeWork endsBy) {
      this.endsBy = endsBy;
    }

    @Override
    void execute() {
      executed.incrementAndGet();
      if (endsBy != null) {
        endsBy.arrived.add(this);
      }
    }

    void end() {
      over = true;
      LockSupport.unpark(waiter);
    }

    @Override
    public boolean isOver() {
      return over;
    }

    @Override
    public void waiter(@Nullable Thread thread) {
      waiter = thread;
    }
  }

  private final FakeWork work = new FakeWork();
  private final ProgressLoop loop = new ProgressLoop("test-progress", work);
  private boolean ended;

  @BeforeEach
  void start() {
    work.loop = loop;
    loop.start();
  }

  @AfterEach
  void stop() {
    if (!ended) {
      end();
    }
    assertThat(work.offOwner.get()).isNull();
    assertThat(threadsNamed("test-progress")).isZero();
  }

  private void end() {
    ended = true;
    loop.stop();
    loop.end();
  }

  private static long threadsNamed(String name) {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(t -> t.getName().equals(name))
        .count();
  }

  private static void join(List<Thread> threads) throws InterruptedException {
    for (Thread thread : threads) {
      thread.join(TimeUnit.SECONDS.toMillis(60));
      assertThat(thread.isAlive()).as("%s still waits", thread).isFalse();
    }
  }

  @Test
  void theProgressThreadDrivesWhenNobodyElseDoes() throws InterruptedException {
    work.blocked.await();
    CountDownLatch done = new CountDownLatch(1);
    Item item = new Item(null);
    loop.run(done::countDown);
    done.await();
    work.arrive(item);
    while (!item.over) {
      Thread.onSpinWait();
    }
    assertThat(work.lastDriver).isNotNull();
  }

  @Test
  void aCallerThatPollsGetsTheTokenFromTheProgressThread() throws InterruptedException {
    work.blocked.await();
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (work.lastDriver != Thread.currentThread()) {
      assertThat(System.nanoTime() - deadline).as("polled for long enough").isNegative();
      loop.poll();
    }
    // And the progress thread comes back when the caller polls no more.
    while (work.lastDriver == Thread.currentThread()) {
      assertThat(System.nanoTime() - deadline).as("waited for long enough").isNegative();
      Thread.onSpinWait();
    }
  }

  @Test
  void aSubmissionWakesABlockedOwner() throws InterruptedException {
    for (int i = 0; i < 2000; i++) {
      Item item = new Item(work);
      loop.submit(item);
      if (i % 3 == 0) {
        assertThat(loop.await(item, true, System.nanoTime() + TimeUnit.SECONDS.toNanos(30)))
            .isTrue();
      } else {
        while (!item.over) {
          Thread.onSpinWait();
        }
      }
    }
  }

  @Test
  void whoWaitsForWhatADeadlineEndsDoesNotBlockAfterwards() throws InterruptedException {
    Item item = new Item(null);
    work.overdue = item;
    assertThat(loop.await(item, true, System.nanoTime() + TimeUnit.SECONDS.toNanos(30))).isTrue();
    work.overdue = null;
  }

  @Test
  void aWaitEndsAtItsDeadlineAndOnlyThen() throws InterruptedException {
    Item never = new Item(null);
    long start = System.nanoTime();
    assertThat(loop.await(never, true, start + TimeUnit.MILLISECONDS.toNanos(30))).isFalse();
    assertThat(System.nanoTime() - start).isGreaterThanOrEqualTo(TimeUnit.MILLISECONDS.toNanos(30));
    assertThat(loop.await(never, true, System.nanoTime() - 1)).isFalse();
    assertThat(never.waiter).isNull();
  }

  @Test
  void aWaitEndsAtItsDeadlineAlsoWhileTheWorkNeverCeases() throws InterruptedException {
    work.busy = true;
    assertThat(loop.await(new Item(null), true, System.nanoTime() + 20_000_000)).isFalse();
  }

  @Test
  void anInterruptEndsAWaitWhetherItDrivesOrIsParked() throws InterruptedException {
    List<Item> items = List.of(new Item(null), new Item(null), new Item(null));
    List<Thread> threads = new ArrayList<>();
    AtomicInteger interrupted = new AtomicInteger();
    for (Item item : items) {
      threads.add(
          new Thread(
              () -> {
                try {
                  loop.await(item, false, 0);
                } catch (InterruptedException e) {
                  interrupted.incrementAndGet();
                }
              }));
    }
    threads.forEach(Thread::start);
    while (items.stream().anyMatch(item -> item.waiter == null)) {
      Thread.onSpinWait();
    }
    threads.forEach(Thread::interrupt);
    join(threads);
    assertThat(interrupted).hasValue(3);
  }

  @Test
  void aParkedCallerTakesOverWhenTheDriverLeaves() throws InterruptedException {
    for (int round = 0; round < 200; round++) {
      List<Item> items = List.of(new Item(null), new Item(null), new Item(null), new Item(null));
      List<Thread> threads = new ArrayList<>();
      for (Item item : items) {
        Thread thread =
            new Thread(
                () -> {
                  try {
                    loop.await(item, false, 0);
                  } catch (InterruptedException e) {
                    throw new AssertionError(e);
                  }
                });
        threads.add(thread);
        thread.start();
      }
      // Each that ends may be the one that drives; the others must be served all the same.
      for (Item item : items) {
        work.arrive(item);
      }
      join(threads);
    }
  }

  @Test
  void aCallGivesItsResultOrThrowsAndKeepsTheInterrupt() {
    assertThat(loop.<String>call(() -> "result")).isEqualTo("result");
    assertThatThrownBy(
            () ->
                loop.call(
                    () -> {
                      throw new IllegalArgumentException("no");
                    }))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(
            () ->
                loop.call(
                    () -> {
                      throw new StackOverflowError("deep");
                    }))
        .hasCauseInstanceOf(StackOverflowError.class);
    Thread.currentThread().interrupt();
    assertThat(loop.<String>call(() -> "in spite of it")).isEqualTo("in spite of it");
    assertThat(Thread.interrupted()).isTrue();
    assertThat(work.brokenBy).isNull();
  }

  @Test
  void aSubmissionThatThrowsTakesNoOtherWithIt() throws InterruptedException {
    CountDownLatch held = new CountDownLatch(1);
    CountDownLatch go = new CountDownLatch(1);
    Thread holder =
        new Thread(
            () ->
                loop.run(
                    () -> {
                      held.countDown();
                      try {
                        go.await();
                      } catch (InterruptedException e) {
                        throw new AssertionError(e);
                      }
                    }));
    holder.start();
    held.await();
    Item before = new Item(null);
    Item behind = new Item(null);
    loop.submit(before);
    loop.run(
        () -> {
          throw new IllegalStateException("planted");
        });
    loop.submit(behind);
    go.countDown();
    holder.join();
    assertThat(loop.<Boolean>call(() -> true)).isTrue();
    assertThat(before.executed).hasValue(1);
    assertThat(behind.executed).hasValue(1);
    // Told when all were executed, which may be after the call came back.
    Leftovers.until("broken", () -> work.brokenBy != null);
    assertThat(work.brokenBy).hasMessageContaining("planted");
  }

  @Test
  void whateverDriveThrowsTheTokenIsReleasedAndCallsAreServed() {
    work.throwNext = new NoClassDefFoundError("planted");
    while (work.brokenBy == null) {
      // Not poll: it leaves a progress thread that has blocked where it is.
      loop.run(() -> {});
    }
    for (int i = 0; i < 100; i++) {
      assertThat(loop.<Boolean>call(() -> true)).isTrue();
    }
    end();
    assertThat(loop.<Boolean>call(() -> true)).isTrue();
  }

  @Test
  void whateverBlockThrowsEndsTheWorkOnly() throws InterruptedException {
    work.throwInBlock = new IllegalStateException("planted");
    work.wakeup();
    assertThat(loop.await(new Item(null), true, System.nanoTime() + 20_000_000)).isFalse();
    while (work.brokenBy == null) {
      loop.run(() -> {});
      work.wakeup();
    }
    assertThat(work.brokenBy).hasMessage("planted");
    assertThat(loop.<Boolean>call(() -> true)).isTrue();
  }

  @Test
  void anInterruptOfTheProgressThreadDoesNotMakeItSpin() throws InterruptedException {
    work.blocked.await();
    Thread progress =
        Thread.getAllStackTraces().keySet().stream()
            .filter(t -> t.getName().equals("test-progress"))
            .findAny()
            .orElseThrow();
    progress.interrupt();
    while (progress.isInterrupted()) {
      Thread.onSpinWait();
    }
    assertThat(loop.<Boolean>call(() -> true)).isTrue();
  }

  @Test
  void afterTheEndSubmissionsAreExecutedByWhoSubmits() throws InterruptedException {
    end();
    List<Thread> threads = new ArrayList<>();
    AtomicInteger executed = new AtomicInteger();
    int[] unguarded = new int[1];
    for (int t = 0; t < 4; t++) {
      threads.add(
          new Thread(
              () -> {
                for (int i = 0; i < 10_000; i++) {
                  loop.run(() -> unguarded[0]++);
                  executed.incrementAndGet();
                }
              }));
    }
    threads.forEach(Thread::start);
    join(threads);
    assertThat(unguarded[0]).as("one at a time").isEqualTo(executed.get()).isEqualTo(40_000);
  }

  @Test
  void manyThreadsSubmitWaitInterruptAndThenItStops() throws InterruptedException {
    long seed = System.nanoTime();
    int threads = 12;
    int atLeast = 300;
    AtomicInteger served = new AtomicInteger();
    AtomicInteger interrupts = new AtomicInteger();
    AtomicReference<Throwable> failure = new AtomicReference<>();
    List<Thread> all = new ArrayList<>();
    CountDownLatch stopping = new CountDownLatch(1);
    CountDownLatch warm = new CountDownLatch(threads * atLeast);
    for (int t = 0; t < threads; t++) {
      Random random = new Random(seed + t);
      all.add(
          new Thread(
              () -> {
                try {
                  int done = 0;
                  while (stopping.getCount() > 0 || done < atLeast) {
                    Item item = new Item(work);
                    loop.submit(item);
                    // As an engine does when it stops: what is under way is ended for it.
                    if (stopping.getCount() == 0) {
                      item.end();
                    }
                    wait(item, random, interrupts);
                    assertThat(item.executed.get()).isLessThanOrEqualTo(1);
                    served.incrementAndGet();
                    done++;
                    warm.countDown();
                  }
                } catch (Throwable e) {
                  failure.compareAndSet(null, e);
                  warm.countDown();
                }
              }));
    }
    all.forEach(Thread::start);
    Random random = new Random(seed);
    while ((warm.getCount() > 0 || interrupts.get() == 0) && failure.get() == null) {
      all.get(random.nextInt(threads)).interrupt();
      LockSupport.parkNanos(100_000);
    }
    stopping.countDown();
    long start = System.nanoTime();
    ended = true;
    loop.stop();
    long stopTime = System.nanoTime() - start;
    // What was submitted before the stop and not yet executed, or executed and not yet ended.
    loop.executeSubmissions();
    for (Item item = work.arrived.poll(); item != null; item = work.arrived.poll()) {
      item.end();
    }
    loop.end();
    List<Thread> alive = new ArrayList<>(all);
    while (!alive.isEmpty()) {
      for (Item item = work.arrived.poll(); item != null; item = work.arrived.poll()) {
        item.end();
      }
      alive.get(0).join(1);
      alive.removeIf(thread -> !thread.isAlive());
      assertThat(System.nanoTime() - start).as("seed %d", seed).isLessThan(60_000_000_000L);
    }
    assertThat(failure.get()).as("seed %d", seed).isNull();
    assertThat(TimeUnit.NANOSECONDS.toMillis(stopTime)).as("stop").isLessThan(1000);
    assertThat(served.get()).isGreaterThanOrEqualTo(threads * atLeast);
    assertThat(interrupts.get()).isPositive();
  }

  private void wait(Item item, Random random, AtomicInteger interrupts) {
    while (!item.over) {
      try {
        switch (random.nextInt(4)) {
          case 0 -> loop.poll();
          case 1 -> loop.await(item, true, System.nanoTime() + random.nextInt(300_000));
          default -> loop.await(item, false, 0);
        }
      } catch (InterruptedException e) {
        interrupts.incrementAndGet();
      }
    }
  }
}
