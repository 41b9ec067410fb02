package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class ReaperTest {

  private static final String NAME = "p2p-reaper-test";

  private final Reaper reaper = new Reaper(NAME);

  @AfterEach
  void itsThreadEnds() {
    reaper.close();
    until("no thread", () -> !Leftovers.threads().contains(NAME));
  }

  private static long soon() {
    return System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
  }

  @Test
  void whatIsHandedOverRunsInOrderOnADaemonThreadOfItsOwn() {
    List<Integer> ran = Collections.synchronizedList(new ArrayList<>());
    AtomicReference<Thread> thread = new AtomicReference<>();
    CompletableFuture<Void> last = reaper.run("first", () -> thread.set(Thread.currentThread()));
    for (int i = 0; i < 100; i++) {
      int number = i;
      last = reaper.run("one", () -> ran.add(number));
    }
    assertThat(Reaper.await(last, soon())).isTrue();
    assertThat(ran).hasSize(100).isSorted();
    assertThat(thread.get().getName()).isEqualTo(NAME);
    assertThat(thread.get().isDaemon()).isTrue();
  }

  @Test
  void aWaitEndsAtItsDeadlineAndTheWorkGoesOn() throws InterruptedException {
    CountDownLatch go = new CountDownLatch(1);
    CompletableFuture<Void> work = reaper.run("slow", () -> awaitUninterrupted(go));
    assertThat(Reaper.await(work, System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(20))).isFalse();
    assertThat(work).isNotDone();
    go.countDown();
    assertThat(Reaper.await(work, soon())).isTrue();
  }

  @Test
  void anInterruptDoesNotEndAWaitAndIsKept() {
    CountDownLatch go = new CountDownLatch(1);
    CompletableFuture<Void> work = reaper.run("slow", () -> awaitUninterrupted(go));
    Thread.currentThread().interrupt();
    assertThat(Reaper.await(work, System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(20))).isFalse();
    assertThat(Thread.interrupted()).isTrue();
    go.countDown();
    Thread.currentThread().interrupt();
    assertThat(Reaper.await(work, soon())).isTrue();
    assertThat(Thread.interrupted()).isTrue();
  }

  @Test
  void whatThrowsCountsAsNotDoneAndTheNextRuns() {
    CompletableFuture<Void> bad =
        reaper.run(
            "planted",
            () -> {
              throw new IllegalStateException("planted");
            });
    CompletableFuture<Void> next = reaper.run("next", () -> {});
    assertThat(Reaper.await(bad, soon())).isFalse();
    assertThat(Reaper.await(next, soon())).isTrue();
  }

  @Test
  void whatWasHandedOverBeforeItsCloseStillRuns() {
    CountDownLatch go = new CountDownLatch(1);
    CompletableFuture<Void> slow = reaper.run("slow", () -> awaitUninterrupted(go));
    CompletableFuture<Void> behind = reaper.run("behind", () -> {});
    reaper.close();
    assertThat(behind).isNotDone();
    go.countDown();
    assertThat(Reaper.await(slow, soon())).isTrue();
    assertThat(Reaper.await(behind, soon())).isTrue();
  }

  @Test
  void itsThreadIsThereFromTheBeginningAndEndsWithIt() {
    assertThat(Leftovers.threads()).contains(NAME);
    reaper.close();
    until("no thread", () -> !Leftovers.threads().contains(NAME));
  }

  private static void awaitUninterrupted(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new AssertionError("nobody interrupts the reaper", e);
    }
  }
}
