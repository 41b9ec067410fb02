package io.uccl.p2p.conformance;

import static io.uccl.p2p.conformance.LocalRules.quickly;
import static io.uccl.p2p.conformance.LocalRules.stillWorks;
import static io.uccl.p2p.conformance.Session.failureOf;
import static io.uccl.p2p.conformance.Session.fill;
import static io.uccl.p2p.conformance.Session.finish;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.DeadlineExceededException;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.RegionInUseException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import java.nio.ByteBuffer;
import java.time.Duration;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * Rules about memory that a network may still touch after a transfer has ended, or a region was
 * closed. The kit's own transport keeps reports and releases back, whatever lies below it.
 */
abstract class MemoryRules extends Rules {

  private static final int SIZE = 10_000;
  private static final long SEED = 707;
  private static final Duration LIMIT = Duration.ofMillis(400);

  /** For transfers that go on, on a machine that may be busy. */
  private static final Duration LONG = Duration.ofSeconds(3);

  MemoryRules(TransportConformance kit) {
    super(kit);
  }

  @Test
  @DisplayName("M1 What nothing can end expires alone; its memory is in use until it is reported")
  void expiredAlone() throws InterruptedException {
    try (Watch watch = Watch.uncancellable();
        Session session = session(kit().config(watch))) {
      MemoryRegion local = session.local(SIZE);
      fill(local, SEED);
      RemoteRegion remote = session.remote(SIZE);
      Connection connection = session.connection();
      try (TransferBatch batch = connection.newBatch(1)) {
        batch.write(local, 0, remote.advertise(), 0, SIZE);
        expire(watch, batch);
        watch.pass();
        stillWorks(connection, session.local(SIZE), session.remote(SIZE));
        assertThat(batch.buffer()).isEqualTo(BufferState.IN_USE);
        assertThatIllegalStateException().isThrownBy(batch::post);
        assertThatIllegalStateException().isThrownBy(batch::clear);
        watch.report();
        awaitFree(batch);
        assertThat(batch.status()).isEqualTo(TransferStatus.FAILED);
        assertThat(batch.failure()).isInstanceOf(DeadlineExceededException.class);
        assertThat(batch.post()).isEqualTo(PostResult.POSTED);
        finish(batch);
        remote.check("the write, posted again", SEED);
      }
    }
  }

  @Test
  @DisplayName("M2 The same holds for what expires because nothing moves")
  void stalledAlone() throws InterruptedException {
    try (Watch watch = Watch.uncancellable();
        Session session = session(kit().config(watch).withStallDeadline(LONG))) {
      MemoryRegion local = session.local(SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      watch.withhold();
      Transfer transfer = session.connection().read(local, 0, there);
      assertThat(failureOf(transfer)).isInstanceOf(DeadlineExceededException.class);
      assertThat(transfer.buffer()).isEqualTo(BufferState.IN_USE);
      watch.pass();
      stillWorks(session.connection(), session.local(SIZE), session.remote(SIZE));
      watch.report();
      awaitFree(transfer);
    }
  }

  @Test
  @DisplayName("M3 The caller's memory stays registered while in use; the refusal names by what")
  void callersMemoryInUse() throws InterruptedException {
    try (Watch watch = Watch.uncancellable();
        Session session = session(kit().config(watch))) {
      MemoryRegion local = session.local(SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      try (TransferBatch batch = session.connection().newBatch(5)) {
        for (int i = 0; i < 5; i++) {
          batch.write(local, 100L * i, there, 0, 50 + i);
        }
        expire(watch, batch);
        String peer = session.connection().remote().toString();
        assertThatExceptionOfType(RegionInUseException.class)
            .isThrownBy(local::close)
            .withMessageContaining("write of 50 bytes at offset 0 to " + peer)
            .withMessageContaining("write of 52 bytes at offset 200 to " + peer)
            .withMessageContaining("and 2 more");
        assertThat(local.slice(0, 1).capacity()).as("it stays open").isEqualTo(1);
        watch.report();
        awaitFree(batch);
      }
      local.close();
      assertThatExceptionOfType(ResourceClosedException.class).isThrownBy(local::advertise);
    }
  }

  @Test
  @DisplayName("M4 Allocated memory in use is closed at once, and given back after the last report")
  void allocatedMemoryInUse() throws InterruptedException {
    TransportConformance.requireNativeMemory();
    try (Watch watch = Watch.uncancellable();
        Session session = session(kit().config(watch))) {
      MemoryRegion local = session.engine().allocate(SIZE);
      fill(local, SEED);
      ByteBuffer view = local.slice(0, SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      try (TransferBatch batch = session.connection().newBatch(1)) {
        batch.write(local, 0, there, 0, SIZE);
        expire(watch, batch);
        quickly("close of a region in use", local::close);
        assertThatExceptionOfType(ResourceClosedException.class).isThrownBy(local::advertise);
        watch.pass();
        stillWorks(session.connection(), session.local(SIZE), session.remote(SIZE));
        assertThat(Pattern.mismatch(view, SEED, 0)).as("not given back").isEqualTo(-1);
        watch.report();
        awaitFree(batch);
        awaitGivenBack(view);
      }
    }
  }

  @Test
  @DisplayName("M5 What a closed connection does not report fails soon; its memory is in use")
  void closedConnection() throws InterruptedException {
    try (Watch watch = Watch.open();
        Session session = session(kit().config(watch))) {
      MemoryRegion local = session.local(SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      watch.withhold();
      Transfer transfer = session.connection().write(local, 0, there);
      watch.awaitPosted(1);
      long start = System.nanoTime();
      session.connection().close();
      assertThat(failureOf(transfer)).isInstanceOf(ResourceClosedException.class);
      assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Limits.QUICK);
      assertThat(transfer.buffer()).isEqualTo(BufferState.IN_USE);
      assertThatExceptionOfType(RegionInUseException.class).isThrownBy(local::close);
      watch.report();
      awaitFree(transfer);
      local.close();
      watch.pass();
      stillWorks(session.connectAgain(), session.local(SIZE), session.remote(SIZE));
    }
  }

  @Test
  @DisplayName("M6 Closing a region is quick, and its memory stays until the transport releases it")
  void slowRelease() throws InterruptedException {
    TransportConformance.requireNativeMemory();
    try (Watch watch = Watch.open();
        Session session = session(kit().config(watch))) {
      MemoryRegion allocated = session.engine().allocate(SIZE);
      fill(allocated, SEED);
      ByteBuffer view = allocated.slice(0, SIZE);
      watch.holdReleases();
      quickly("close of a region that is not released", allocated::close);
      assertThatExceptionOfType(ResourceClosedException.class).isThrownBy(allocated::advertise);
      stillWorks(session.connection(), session.local(SIZE), session.remote(SIZE));
      assertThat(Pattern.mismatch(view, SEED, 0)).as("not given back").isEqualTo(-1);
      watch.letReleasesGo();
      awaitGivenBack(view);
    }
  }

  @Test
  @DisplayName("M7 Closing an engine is quick, and memory stays until the transport releases it")
  void slowReleaseOfAll() throws InterruptedException {
    TransportConformance.requireNativeMemory();
    try (Watch watch = Watch.open();
        Session session = session(kit().config(watch))) {
      MemoryRegion allocated = session.engine().allocate(SIZE);
      fill(allocated, SEED);
      ByteBuffer view = allocated.slice(0, SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      watch.withhold();
      Transfer transfer = session.connection().write(allocated, 0, there);
      watch.awaitPosted(1);
      watch.holdReleases();
      quickly("close of an engine that is not released", session.engine()::close);
      assertThat(transfer.failure()).isInstanceOf(ResourceClosedException.class);
      assertThat(transfer.buffer()).isEqualTo(BufferState.IN_USE);
      assertThat(Pattern.mismatch(view, SEED, 0)).as("not given back").isEqualTo(-1);
      watch.letReleasesGo();
      awaitFree(transfer);
      awaitGivenBack(view);
    }
  }

  @Test
  @DisplayName("M8 What is not reported expires, though all that comes later is")
  void overtaken() throws InterruptedException {
    try (Watch watch = Watch.uncancellable();
        Session session = session(kit().config(watch).withStallDeadline(LONG))) {
      Connection connection = session.connection();
      MemoryRegion local = session.local(SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      watch.withhold();
      Transfer lost = connection.read(session.local(SIZE), 0, there);
      watch.awaitPosted(1);
      watch.pass();
      long start = System.nanoTime();
      while (!lost.poll()) {
        finish(connection.write(local, 0, there));
        assertThat(System.nanoTime() - start)
            .as("it expires in time")
            .isLessThan(Limits.PATIENCE.toNanos());
      }
      assertThat(lost.failure())
          .isInstanceOf(DeadlineExceededException.class)
          .hasMessageContaining("while later operations ended");
      assertThat(lost.buffer()).isEqualTo(BufferState.IN_USE);
      watch.report();
      awaitFree(lost);
      finish(connection.write(local, 0, there));
    }
  }

  /** Posts a batch that is not reported, and sees it fail by its deadline, and nothing else. */
  private static void expire(Watch watch, TransferBatch batch) throws InterruptedException {
    watch.withhold();
    assertThat(batch.post(LIMIT)).isEqualTo(PostResult.POSTED);
    watch.awaitPosted(batch.size());
    assertThat(failureOf(batch)).isInstanceOf(DeadlineExceededException.class);
    assertThat(batch.buffer()).isEqualTo(BufferState.IN_USE);
  }
}
