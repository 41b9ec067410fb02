package io.uccl.p2p.conformance;

import static io.uccl.p2p.conformance.Session.check;
import static io.uccl.p2p.conformance.Session.fill;
import static io.uccl.p2p.conformance.Session.finish;
import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.Connection;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.conformance.RemoteConnection.Operation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Rules about the bytes of operations: placed, whole, exact, and nothing beside them. */
abstract class DataRules extends Rules {

  private static final long[] SIZES = {
    0, 1, 63, 64, 65, 4095, 4096, 4097, 16383, 16384, 262143, 262144, 262145, 1179648
  };
  private static final int GUARD = 4096 + 13;
  private static final long BEFORE = 101;
  private static final long SOURCE = 202;
  private static final long GIB_4 = 1L << 32;
  private static final long LARGE = GIB_4 + 4097;
  private static final int SAMPLE = 1000;

  DataRules(TransportConformance kit) {
    super(kit);
  }

  @Test
  @DisplayName("D1 A completed write is in the target's memory")
  void completedWriteIsInPlace() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(1 << 20);
      RemoteRegion remote = session.remote(1 << 20);
      FifoDescriptor there = remote.advertise();
      for (int round = 1; round <= times(40); round++) {
        fill(local, round);
        finish(session.connection().write(local, 0, there));
        remote.check("round " + round, round);
      }
    }
  }

  @Test
  @DisplayName("D2 A completed read is in local memory")
  void completedReadIsInPlace() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(1 << 20);
      RemoteRegion remote = session.remote(1 << 20);
      FifoDescriptor there = remote.advertise();
      for (int round = 1; round <= times(40); round++) {
        remote.fill(round);
        finish(session.connection().read(local, 0, there));
        check("round " + round, local, round);
      }
    }
  }

  @Test
  @DisplayName("D3 Both sides write and read at the same time over one connection")
  void bothDirectionsAtOnce() throws InterruptedException {
    int part = 300_001;
    int parts = 12;
    try (Session session = session()) {
      // Quarters of each side: what it writes, what it reads into, and the two that serve the peer.
      MemoryRegion[] local = new MemoryRegion[4];
      RemoteRegion[] remote = new RemoteRegion[4];
      for (int i = 0; i < 4; i++) {
        local[i] = session.local(part * parts);
        remote[i] = session.remote(part * parts);
      }
      FifoDescriptor remoteTarget = remote[2].advertise();
      FifoDescriptor remoteSource = remote[3].advertise();
      FifoDescriptor localTarget = local[2].advertise();
      FifoDescriptor localSource = local[3].advertise();
      try (TransferBatch batch = session.connection().newBatch(2 * parts)) {
        List<Operation> back = new ArrayList<>();
        for (int i = 0; i < parts; i++) {
          long at = (long) i * part;
          batch.write(local[0], at, remoteTarget, at, part);
          batch.read(local[1], at, remoteSource, at, part);
          back.add(new Operation(true, remote[0], at, localTarget, at, part));
          back.add(new Operation(false, remote[1], at, localSource, at, part));
        }
        for (int round = 1; round <= times(10); round++) {
          int seed = 10 * round;
          fill(local[0], seed + 1);
          remote[3].fill(seed + 2);
          remote[0].fill(seed + 3);
          fill(local[3], seed + 4);
          String theirs = session.back().post(back);
          assertThat(batch.post()).isEqualTo(PostResult.POSTED);
          finish(batch);
          session.back().await(theirs);
          remote[2].check("our writes, round " + round, seed + 1);
          check("our reads, round " + round, local[1], seed + 2);
          check("their writes, round " + round, local[2], seed + 3);
          remote[1].check("their reads, round " + round, seed + 4);
        }
      }
    }
  }

  @Test
  @DisplayName("D4 A write moves exactly its bytes, whatever their number")
  void writesAreExact() throws InterruptedException {
    try (Session session = session()) {
      for (long size : SIZES) {
        exactly(session, size, true);
      }
    }
  }

  @Test
  @DisplayName("D5 A read moves exactly its bytes, whatever their number")
  void readsAreExact() throws InterruptedException {
    try (Session session = session()) {
      for (long size : SIZES) {
        exactly(session, size, false);
      }
    }
  }

  /** Moves bytes between the middles of two regions and looks at every byte of both. */
  private static void exactly(Session session, long size, boolean write)
      throws InterruptedException {
    String what = (write ? "write of " : "read of ") + size;
    MemoryRegion local = session.local((int) size + 2 * GUARD);
    RemoteRegion remote = session.remote((int) size + 2 * GUARD);
    fill(local, write ? SOURCE : BEFORE);
    remote.fill(write ? BEFORE : SOURCE);
    FifoDescriptor there = remote.advertise(GUARD, size);
    assertThat(there.length()).isEqualTo(size);
    finish(
        write
            ? session.connection().write(local, GUARD, there)
            : session.connection().read(local, GUARD, there));
    if (write) {
      check(what + ", source", local, SOURCE);
      remote.check(what + ", before", 0, GUARD, BEFORE, 0);
      remote.check(what + ", target", GUARD, size, SOURCE, GUARD);
      remote.check(what + ", behind", GUARD + size, GUARD, BEFORE, GUARD + size);
    } else {
      remote.check(what + ", source", SOURCE);
      check(what + ", before", local, 0, GUARD, BEFORE, 0);
      check(what + ", target", local, GUARD, size, SOURCE, GUARD);
      check(what + ", behind", local, GUARD + size, GUARD, BEFORE, GUARD + size);
    }
    local.close();
    remote.close();
  }

  @Test
  @Tag("large-regions")
  @DisplayName("D6 An offset beyond 4 GiB is a place of its own, on both sides")
  void offsetsBeyondFourGib() throws InterruptedException {
    TransportConformance.requireNativeMemory();
    Assumptions.assumeTrue(kit().largeRegions(), "no memory for regions of more than 4 GiB");
    int size = 5000;
    long far = GIB_4 + 13;
    try (Session session = session();
        MemoryRegion local = session.engine().allocate(GIB_4 + (1 << 16))) {
      RemoteRegion remote = session.peer().allocate(GIB_4 + (1 << 16));
      FifoDescriptor there = FifoDescriptor.decode(remote.advertise().encode());
      assertThat(there.length()).isEqualTo(GIB_4 + (1 << 16));
      Pattern.fill(local, far, size, SOURCE, 0);
      finish(session.connection().write(local, far, there, far + 7, size));
      remote.check("far target", far + 7, size, SOURCE, 0);
      remote.check("before the far target", far - 4096, 4096 + 7, 0, 0);
      remote.check("behind the far target", far + 7 + size, 4096, 0, 0);
      remote.check("the same offset without its upper half", 0, 2L * size, 0, 0);
      finish(session.connection().read(local, far + 10_000, there, far + 7, size));
      check("far read", local, far + 10_000, size, SOURCE, 0);
      check("the same offset without its upper half", local, 0, 20_000, 0, 0);
      // A part of the range, by a descriptor of its own.
      finish(session.connection().read(local, 0, there.slice(far + 7, size)));
      check("read by a part's descriptor", local, 0, size, SOURCE, 0);
      remote.close();
    }
  }

  @Test
  @Tag("large")
  @Timeout(value = 400, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  @DisplayName("D7 One write can be longer than 4 GiB")
  void oneWriteLongerThanFourGib() throws InterruptedException, IOException {
    requireLargeOperations();
    try (Session session = session();
        MemoryRegion local = session.engine().allocate(LARGE)) {
      RemoteRegion remote = session.peer().allocate(LARGE);
      remote.fill(BEFORE);
      for (long sample : samples()) {
        Pattern.fill(local, sample, SAMPLE, SOURCE, sample);
      }
      finishLarge(session.connection().write(local, 0, remote.advertise()));
      long done = 0;
      for (long sample : samples()) {
        remote.check("zeros of the source", done, sample - done, 0, 0);
        remote.check("sample of the source", sample, SAMPLE, SOURCE, sample);
        done = sample + SAMPLE;
      }
      assertThat(done).isEqualTo(LARGE);
      remote.close();
    }
  }

  @Test
  @Tag("large")
  @Tag("prove-only")
  @Timeout(value = 400, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  @DisplayName("D17 One read can be longer than 4 GiB")
  void oneReadLongerThanFourGib() throws InterruptedException, IOException {
    requireLargeOperations();
    try (Session session = session();
        MemoryRegion local = session.engine().allocate(LARGE)) {
      RemoteRegion remote = session.peer().allocate(LARGE);
      fill(local, BEFORE);
      for (long sample : samples()) {
        remote.fill(sample, SAMPLE, SOURCE, sample);
      }
      finishLarge(session.connection().read(local, 0, remote.advertise()));
      long done = 0;
      for (long sample : samples()) {
        check("zeros of the source", local, done, sample - done, 0, 0);
        check("sample of the source", local, sample, SAMPLE, SOURCE, sample);
        done = sample + SAMPLE;
      }
      assertThat(done).isEqualTo(LARGE);
      remote.close();
    }
  }

  /**
   * Where the source of a large operation holds the pattern; between them it is zero and was never
   * touched, which spares a small machine half of the memory. The last one ends the range.
   */
  private static long[] samples() {
    long[] samples = new long[67];
    for (int i = 0; i < 65; i++) {
      samples[i] = i * (64L << 20) + (i == 0 ? 0 : -100 - 17 * i);
    }
    samples[65] = GIB_4 - 150;
    samples[66] = LARGE - SAMPLE;
    return samples;
  }

  /** As long as it moves; the engine's own time without progress ends it if it does not. */
  private static void finishLarge(Transfer transfer) throws InterruptedException {
    assertThat(transfer.await(Duration.ofMinutes(5))).as("the transfer ended in time").isTrue();
    assertThat(transfer.status()).isEqualTo(TransferStatus.DONE);
  }

  private void requireLargeOperations() throws IOException {
    TransportConformance.requireNativeMemory();
    Assumptions.assumeTrue(kit().largeOperations(), "the transport's author leaves it out");
    requireMemory(LARGE + (3L << 30));
  }

  private static void requireMemory(long bytes) throws IOException {
    String line =
        Files.readAllLines(Path.of("/proc/meminfo")).stream()
            .filter(each -> each.startsWith("MemAvailable:"))
            .findFirst()
            .orElseThrow();
    long available = Long.parseLong(line.replaceAll("[^0-9]", "")) << 10;
    Assumptions.assumeTrue(
        available >= bytes,
        () -> "needs " + (bytes >> 20) + " MiB of free memory, but has " + (available >> 20));
  }

  @Test
  @DisplayName("D8 An operation that is longer than the transport takes is cut, unseen")
  void longOperationsAreCut() throws InterruptedException {
    int limit = 1 << 20;
    try (Watch watch = Watch.limiting(limit);
        Session session = session(kit().config(watch))) {
      for (long size : new long[] {limit - 1, limit, limit + 1, 5L * limit + 17}) {
        exactly(session, size, true);
        assertThat(watch.posted())
            .as("write of %d", size)
            .containsExactlyInAnyOrderElementsOf(cut(size, limit));
        exactly(session, size, false);
        assertThat(watch.posted())
            .as("read of %d", size)
            .containsExactlyInAnyOrderElementsOf(cut(size, limit));
      }
    }
  }

  /** The lengths of the pieces. */
  private static List<Long> cut(long size, long limit) {
    List<Long> pieces = new ArrayList<>(Collections.nCopies((int) (size / limit), limit));
    if (size % limit > 0) {
      pieces.add(size % limit);
    }
    return pieces;
  }

  @Test
  @DisplayName("D9 The pieces of cut operations may be more than the window takes")
  void moreCutPiecesThanTheWindow() throws InterruptedException {
    int limit = 1000;
    long size = 3L * 256 * limit + 17;
    try (Watch watch = Watch.open();
        Session session = session(kit().config(watch).withMaxOperationBytes(limit))) {
      exactly(session, size, true);
      assertThat(watch.posted()).containsExactlyInAnyOrderElementsOf(cut(size, limit));
      exactly(session, size, false);
      assertThat(watch.posted()).containsExactlyInAnyOrderElementsOf(cut(size, limit));
      // Several that are cut, and some that are not, in one batch.
      MemoryRegion local = session.local(600_000);
      RemoteRegion remote = session.remote(600_000);
      FifoDescriptor there = remote.advertise();
      fill(local, SOURCE);
      try (TransferBatch batch = session.connection().newBatch(64)) {
        long at = 0;
        List<Long> pieces = new ArrayList<>();
        for (int i = 0; at < 590_000 && i < 64; i++) {
          long length = i % 3 == 0 ? 999 : 9_001 + i;
          batch.write(local, at, there, at, length);
          pieces.addAll(cut(length, limit));
          at += length;
        }
        assertThat(batch.post()).isEqualTo(PostResult.POSTED);
        finish(batch);
        assertThat(watch.posted()).containsExactlyInAnyOrderElementsOf(pieces);
        remote.check("cut and whole", 0, at, SOURCE, 0);
        remote.check("behind", at, 600_000 - at, 0, 0);
      }
    }
  }

  @Test
  @DisplayName("D10 Offsets need no alignment on either side")
  void unalignedOffsets() throws InterruptedException {
    int size = 40_000;
    Random random = random();
    try (Session session = session()) {
      MemoryRegion local = session.local(size);
      RemoteRegion remote = session.remote(size);
      FifoDescriptor there = remote.advertise();
      fill(local, SOURCE);
      for (int i = 0; i < 150; i++) {
        int from = i < 64 ? i % 8 : random.nextInt(300);
        int to = i < 64 ? i / 8 : random.nextInt(300);
        int length = 1 + random.nextInt(i % 2 == 0 ? 70 : 39_000);
        String what = seedText() + ", " + length + " bytes from " + from + " to " + to;
        remote.fill(BEFORE);
        finish(session.connection().write(local, from, there, to, length));
        remote.check(what, 0, to, BEFORE, 0);
        remote.check(what, to, length, SOURCE, from);
        remote.check(what, to + length, size - to - length, BEFORE, to + length);
        finish(session.connection().read(local, from, there, to, length));
        check(what + ", and back", local, SOURCE);
      }
    }
  }

  @Test
  @DisplayName("D11 A batch holds any number of operations")
  void vectorsOfAnyLength() throws InterruptedException {
    int block = 96;
    try (Session session = session()) {
      for (int count : new int[] {1, 2, 3, 31, 255, 256, 257, 1000, 4096}) {
        MemoryRegion local = session.local(count * block);
        RemoteRegion remote = session.remote(count * block);
        FifoDescriptor there = remote.advertise();
        fill(local, count);
        List<Integer> places = new ArrayList<>();
        for (int i = 0; i < count; i++) {
          places.add(i);
        }
        Collections.shuffle(places, random());
        try (TransferBatch batch = session.connection().newBatch(count)) {
          for (int i : places) {
            batch.write(local, (long) i * block, there, (long) (count - 1 - i) * block, block);
          }
          assertThat(batch.size()).isEqualTo(count);
          assertThat(batch.post()).isEqualTo(PostResult.POSTED);
          finish(batch);
          for (int i = 0; i < count; i++) {
            assertThat(batch.status(i)).isEqualTo(TransferStatus.DONE);
          }
          // Read back to where it came from: the order is restored.
          Pattern.fill(local, 0, local.length(), BEFORE, 0);
          batch.clear();
          for (int i : places) {
            batch.read(local, (long) i * block, there, (long) (count - 1 - i) * block, block);
          }
          assertThat(batch.post()).isEqualTo(PostResult.POSTED);
          finish(batch);
          check(seedText() + ", " + count + " operations", local, count);
          for (int i = 0; i < count; i += 1 + count / 16) {
            remote.check(
                "operation " + i, (long) (count - 1 - i) * block, block, count, (long) i * block);
          }
        }
        local.close();
        remote.close();
      }
    }
  }

  @Test
  @DisplayName("D12 A batch holds reads and writes of mixed sizes")
  void mixedBatches() throws InterruptedException {
    Random random = random();
    try (Session session = session()) {
      for (int round = 0; round < 6; round++) {
        mixedBatch(session, random, seedText() + ", round " + round);
      }
    }
  }

  private static void mixedBatch(Session session, Random random, String what)
      throws InterruptedException {
    int count = 60;
    long[] offsets = new long[count + 1];
    long[] lengths = new long[count];
    boolean[] writes = new boolean[count];
    for (int i = 0; i < count; i++) {
      long about = SIZES[random.nextInt(SIZES.length - 1)];
      lengths[i] = Math.max(0, about + random.nextInt(7) - 3);
      writes[i] = random.nextBoolean();
      offsets[i + 1] = offsets[i] + lengths[i] + 1 + random.nextInt(50);
    }
    MemoryRegion local = session.local((int) offsets[count]);
    RemoteRegion remote = session.remote((int) offsets[count]);
    FifoDescriptor there = remote.advertise();
    fill(local, SOURCE);
    remote.fill(BEFORE);
    try (TransferBatch batch = session.connection().newBatch(count)) {
      for (int i = 0; i < count; i++) {
        if (writes[i]) {
          batch.write(local, offsets[i], there, offsets[i], lengths[i]);
        } else {
          batch.read(local, offsets[i], there, offsets[i], lengths[i]);
        }
      }
      assertThat(batch.post()).isEqualTo(PostResult.POSTED);
      finish(batch);
    }
    for (int i = 0; i < count; i++) {
      String which = what + ", operation " + i + (writes[i] ? " (write)" : " (read)");
      long seed = writes[i] ? SOURCE : BEFORE;
      long end = offsets[i] + lengths[i];
      long gap = offsets[i + 1] - end;
      check(which, local, offsets[i], lengths[i], seed, offsets[i]);
      check(which + ", gap", local, end, gap, SOURCE, end);
      remote.check(which, offsets[i], lengths[i], seed, offsets[i]);
      remote.check(which + ", gap", end, gap, BEFORE, end);
    }
    local.close();
    remote.close();
  }

  @Test
  @DisplayName("D13 A batch is posted again and again, and takes the bytes of each time")
  void batchesAreReused() throws InterruptedException {
    int block = 4096;
    int count = 8;
    try (Session session = session()) {
      MemoryRegion local = session.local(count * block);
      RemoteRegion remote = session.remote(count * block);
      FifoDescriptor there = remote.advertise();
      try (TransferBatch batch = session.connection().newBatch(count)) {
        for (int i = 0; i < count; i++) {
          batch.write(local, (long) i * block, there, (long) i * block, block);
        }
        int rounds = times(400);
        for (int round = 1; round <= rounds; round++) {
          fill(local, round);
          assertThat(batch.post()).isEqualTo(PostResult.POSTED);
          finish(batch);
          remote.check("round " + round, round);
        }
        for (int round = 0; round < times(5000); round++) {
          assertThat(batch.post()).isEqualTo(PostResult.POSTED);
          batch.await();
        }
        finish(batch);
        remote.check("after all rounds", rounds);
      }
    }
  }

  @Test
  @DisplayName("D14 Eight threads post on one connection at the same time")
  void eightThreadsPost() throws Exception {
    int threads = 8;
    int size = 200_000;
    try (Session session = session()) {
      RemoteRegion remote = session.remote(threads * size);
      FifoDescriptor there = remote.advertise();
      CyclicBarrier start = new CyclicBarrier(threads);
      ExecutorService pool = Executors.newFixedThreadPool(threads);
      try {
        List<Callable<Integer>> tasks = new ArrayList<>();
        for (int t = 0; t < threads; t++) {
          int number = t;
          tasks.add(() -> writeAndReadBack(session, there, number, size, start));
        }
        List<Integer> rounds = new ArrayList<>();
        for (Future<Integer> each : pool.invokeAll(tasks, 60, TimeUnit.SECONDS)) {
          rounds.add(each.get());
        }
        for (int t = 0; t < threads; t++) {
          remote.check(
              "thread " + t, (long) t * size, size, seed(t, rounds.get(t)), (long) t * size);
        }
      } finally {
        pool.shutdownNow();
      }
    }
  }

  private static long seed(int thread, int round) {
    return 1000L * (thread + 1) + round;
  }

  /** Each thread in its own part of the target; returns the last round. */
  private int writeAndReadBack(
      Session session, FifoDescriptor there, int thread, int size, CyclicBarrier start)
      throws Exception {
    MemoryRegion out = session.local(size);
    MemoryRegion in = session.local(size);
    long at = (long) thread * size;
    int rounds = times(40);
    start.await(30, TimeUnit.SECONDS);
    for (int round = 1; round <= rounds; round++) {
      Pattern.fill(out, 0, size, seed(thread, round), at);
      // One in a large piece, the rest in small ones, so that both kinds mix on the way.
      int first = 1 + 4000 * (round % 40);
      try (TransferBatch batch = session.connection().newBatch(21)) {
        batch.write(out, 0, there, at, first);
        int part = (size - first) / 20;
        for (int i = 0; i < 20; i++) {
          int from = first + i * part;
          int length = i == 19 ? size - from : part;
          batch.write(out, from, there, at + from, length);
        }
        assertThat(batch.post()).isEqualTo(PostResult.POSTED);
        finish(batch);
      }
      finish(session.connection().read(in, 0, there, at, size));
      check("thread " + thread + ", round " + round, in, 0, size, seed(thread, round), at);
    }
    return rounds;
  }

  @Test
  @DisplayName("D15 One engine serves several peers at the same time")
  void severalPeers() throws InterruptedException {
    int size = 700_001;
    int peers = 3;
    try (P2pEngine engine = P2pEngine.open(config())) {
      List<RemoteEngine> engines = new ArrayList<>();
      List<RemoteRegion> remotes = new ArrayList<>();
      List<FifoDescriptor> descriptors = new ArrayList<>();
      List<Connection> connections = new ArrayList<>();
      List<MemoryRegion> locals = new ArrayList<>();
      for (int i = 0; i < peers; i++) {
        engines.add(peer().open(config()));
        connections.add(engine.connect(engines.get(i).metadata(), Limits.PATIENCE));
        engines.get(i).accept();
        remotes.add(engines.get(i).register(size));
        descriptors.add(remotes.get(i).advertise());
        locals.add(engine.register(ByteBuffer.allocateDirect(size)));
      }
      for (int round = 1; round <= times(20); round++) {
        List<Transfer> transfers = new ArrayList<>();
        for (int i = 0; i < peers; i++) {
          fill(locals.get(i), seed(i, round));
          transfers.add(connections.get(i).write(locals.get(i), 0, descriptors.get(i)));
        }
        for (int i = 0; i < peers; i++) {
          finish(transfers.get(i));
          remotes.get(i).check("peer " + i + ", round " + round, seed(i, round));
        }
        // From one peer to the next, through this engine.
        for (int i = 0; i < peers; i++) {
          MemoryRegion into = locals.get((i + 1) % peers);
          finish(connections.get(i).read(into, 0, descriptors.get(i)));
          check("from peer " + i, into, seed(i, round));
        }
      }
      engines.forEach(RemoteEngine::close);
    }
  }

  @Test
  @DisplayName(
      "D16 One region is source of several operations, and parts of it are targets, at once")
  void onePartEach() throws InterruptedException {
    int block = 10_007;
    int count = 50;
    try (Session session = session()) {
      MemoryRegion local = session.local(block);
      RemoteRegion remote = session.remote(count * block);
      fill(local, SOURCE);
      List<Transfer> transfers = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        FifoDescriptor part = remote.advertise((long) i * block, block);
        transfers.add(session.connection().write(local, 0, part));
      }
      for (Transfer each : transfers) {
        finish(each);
      }
      for (int i = 0; i < count; i++) {
        remote.check("part " + i, (long) i * block, block, SOURCE, 0);
      }
      check("the source", local, SOURCE);
    }
  }
}
