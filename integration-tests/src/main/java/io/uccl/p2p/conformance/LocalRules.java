package io.uccl.p2p.conformance;

import static io.uccl.p2p.conformance.Session.check;
import static io.uccl.p2p.conformance.Session.fill;
import static io.uccl.p2p.conformance.Session.finish;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RegionInUseException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.nio.ByteBuffer;
import java.time.Duration;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Rules about what this side refuses by itself, and about memory and batches in flight. */
abstract class LocalRules extends Rules {

  private static final int SIZE = 10_000;
  private static final long SEED = 303;

  LocalRules(TransportConformance kit) {
    super(kit);
  }

  @Test
  @DisplayName("L1 What goes beyond the descriptor's range is refused before it is sent")
  void rangesOfDescriptorsAreChecked() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(4 * SIZE);
      fill(local, SEED);
      RemoteRegion remote = session.remote(3 * SIZE);
      FifoDescriptor middle = remote.advertise(SIZE, SIZE);
      long[][] wrong = {
        {0, SIZE + 1},
        {1, SIZE},
        {SIZE, 1},
        {SIZE + 1, 0},
        {-1, 1},
        {0, -1},
        {Long.MAX_VALUE, 1},
        {1, Long.MAX_VALUE},
        {Long.MIN_VALUE, Long.MIN_VALUE}
      };
      try (TransferBatch batch = session.connection().newBatch(1)) {
        for (long[] range : wrong) {
          assertThatExceptionOfType(IndexOutOfBoundsException.class)
              .as("range %d, %d", range[0], range[1])
              .isThrownBy(() -> session.connection().write(local, 0, middle, range[0], range[1]));
          assertThatExceptionOfType(IndexOutOfBoundsException.class)
              .isThrownBy(() -> session.connection().read(local, 0, middle, range[0], range[1]));
          assertThatExceptionOfType(IndexOutOfBoundsException.class)
              .isThrownBy(() -> batch.write(local, 0, middle, range[0], range[1]));
          assertThat(batch.size()).isZero();
        }
      }
      assertThatExceptionOfType(IndexOutOfBoundsException.class)
          .isThrownBy(() -> middle.slice(SIZE - 1, 2));
      remote.check("nothing was written", 0);
      stillWorks(session.connection(), local, remote);
    }
  }

  @Test
  @DisplayName("L2 What goes beyond the local region is refused before it is sent")
  void rangesOfRegionsAreChecked() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      fill(local, SEED);
      RemoteRegion remote = session.remote(2 * SIZE);
      FifoDescriptor there = remote.advertise();
      long[][] wrong = {{0, SIZE + 1}, {1, SIZE}, {SIZE + 1, 0}, {-1, 1}, {Long.MAX_VALUE, 1}};
      for (long[] range : wrong) {
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
            .as("range %d, %d", range[0], range[1])
            .isThrownBy(() -> session.connection().write(local, range[0], there, 0, range[1]));
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
            .isThrownBy(() -> session.connection().read(local, range[0], there, 0, range[1]));
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
            .isThrownBy(() -> local.advertise(range[0], range[1]));
      }
      assertThatExceptionOfType(IndexOutOfBoundsException.class)
          .isThrownBy(() -> local.slice(1, SIZE));
      remote.check("nothing was written", 0);
      check("nothing was read", local, SEED);
      stillWorks(session.connection(), local, remote);
    }
  }

  @Test
  @DisplayName("L3 A region of another engine is refused")
  void regionsOfOtherEngines() throws InterruptedException {
    try (Session session = session();
        P2pEngine other = P2pEngine.open(config())) {
      MemoryRegion foreign = other.register(ByteBuffer.allocateDirect(SIZE));
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      assertThatIllegalArgumentException()
          .isThrownBy(() -> session.connection().write(foreign, 0, there));
      assertThatIllegalArgumentException()
          .isThrownBy(() -> session.connection().read(foreign, 0, there));
      stillWorks(session.connection(), local, remote);
    }
  }

  @Test
  @DisplayName("L4 A closed region cannot be used any more; closing again does nothing")
  void closedRegions() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      MemoryRegion other = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      try (TransferBatch batch = session.connection().newBatch(1)) {
        batch.write(local, 0, there, 0, SIZE);
        quickly("close of a region", local::close);
        quickly("second close of a region", local::close);
        assertThatExceptionOfType(ResourceClosedException.class)
            .isThrownBy(() -> session.connection().write(local, 0, there));
        assertThatExceptionOfType(ResourceClosedException.class)
            .isThrownBy(() -> session.connection().read(local, 0, there));
        assertThatExceptionOfType(ResourceClosedException.class).isThrownBy(local::advertise);
        assertThatExceptionOfType(ResourceClosedException.class)
            .isThrownBy(() -> local.slice(0, 1));
        // Filled before the close, posted after it.
        assertThat(batch.post()).isEqualTo(PostResult.POSTED);
        assertThat(Session.failureOf(batch)).isInstanceOf(ResourceClosedException.class);
        assertThat(batch.buffer()).isEqualTo(BufferState.FREE);
      }
      remote.check("nothing was written", 0);
      stillWorks(session.connection(), other, remote);
    }
  }

  @Test
  @DisplayName("L5 A region in use cannot be closed, and can once the operations have ended")
  void regionsInUse() throws InterruptedException {
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
        assertThatExceptionOfType(RegionInUseException.class).isThrownBy(local::close);
        assertThat(transfer.status()).isEqualTo(TransferStatus.IN_FLIGHT);
        assertThat(transfer.buffer()).isEqualTo(BufferState.IN_USE);
        assertThat(local.slice(0, 1).capacity()).isEqualTo(1);
      } finally {
        hold.end();
      }
      finish(transfer);
      remote.check("the write", SEED);
      local.close();
    }
  }

  @Test
  @DisplayName("L6 Too much waiting is told as back-pressure, and nothing of it is sent")
  void backPressure() throws InterruptedException {
    try (Hold hold = hold();
        Session session = session(hold.config().withMaxQueuedOperations(10))) {
      MemoryRegion local = session.local(SIZE);
      fill(local, SEED);
      RemoteRegion first = session.remote(SIZE);
      RemoteRegion second = session.remote(SIZE);
      FifoDescriptor one = first.advertise();
      FifoDescriptor two = second.advertise();
      try (TransferBatch large = session.connection().newBatch(20);
          TransferBatch next = session.connection().newBatch(5)) {
        for (int i = 0; i < 20; i++) {
          large.write(local, i * 100L, one, i * 100L, 100);
        }
        for (int i = 0; i < 5; i++) {
          next.write(local, i * 100L, two, i * 100L, 100);
        }
        hold.begin();
        try {
          assertThat(large.post()).as("nothing waits yet").isEqualTo(PostResult.POSTED);
          for (int i = 0; i < 100; i++) {
            assertThat(next.post()).isEqualTo(PostResult.BACK_PRESSURED);
          }
          assertThat(next.status()).isEqualTo(TransferStatus.IDLE);
        } finally {
          hold.end();
        }
        finish(large);
        second.check("what was not taken", 0);
        assertThat(next.post()).isEqualTo(PostResult.POSTED);
        finish(next);
        second.check("what was taken later", 0, 500, SEED, 0);
      }
    }
  }

  @Test
  @DisplayName("L7 A batch in flight can only be polled and waited for")
  void batchesInFlight() throws InterruptedException {
    try (Hold hold = hold();
        Session session = session(hold.config())) {
      MemoryRegion local = session.local(SIZE);
      fill(local, SEED);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      TransferBatch batch = session.connection().newBatch(2);
      batch.write(local, 0, there, 0, SIZE);
      assertThat(batch.status()).isEqualTo(TransferStatus.IDLE);
      hold.begin();
      try {
        assertThat(batch.post()).isEqualTo(PostResult.POSTED);
        assertThatIllegalStateException().isThrownBy(batch::post);
        assertThatIllegalStateException().isThrownBy(batch::clear);
        assertThatIllegalStateException().isThrownBy(batch::close);
        assertThatIllegalStateException().isThrownBy(() -> batch.write(local, 0, there, 0, SIZE));
        assertThat(batch.poll()).isFalse();
        assertThat(batch.status(0)).isEqualTo(TransferStatus.IN_FLIGHT);
        assertThat(batch.await(Duration.ofMillis(20))).isFalse();
      } finally {
        hold.end();
      }
      finish(batch);
      remote.check("the write", SEED);
      batch.close();
      assertThatIllegalStateException().isThrownBy(batch::post);
    }
  }

  @Test
  @DisplayName("L8 A batch is never longer than its capacity; an empty one is done at once")
  void fullAndEmptyBatches() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      FifoDescriptor there = session.remote(SIZE).advertise();
      try (TransferBatch batch = session.connection().newBatch(1)) {
        assertThatIllegalStateException().isThrownBy(batch::await);
        assertThat(batch.post()).isEqualTo(PostResult.POSTED);
        finish(batch);
        batch.write(local, 0, there, 0, 1);
        assertThatIllegalStateException().isThrownBy(() -> batch.write(local, 0, there, 0, 1));
        assertThat(batch.size()).isEqualTo(1);
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
            .isThrownBy(() -> batch.status(1));
        assertThatIllegalArgumentException().isThrownBy(() -> batch.post(Duration.ZERO));
      }
      assertThatIllegalArgumentException().isThrownBy(() -> session.connection().newBatch(0));
    }
  }

  @Test
  @DisplayName("L9 A region for this side alone is source and target here, and has no descriptor")
  void localRegions() throws InterruptedException {
    try (Session session = session()) {
      ByteBuffer memory = ByteBuffer.allocateDirect(SIZE);
      MemoryRegion local = session.engine().register(memory, RegionAccess.LOCAL);
      assertThat(local.access()).isEqualTo(RegionAccess.LOCAL);
      assertThatIllegalStateException().isThrownBy(local::advertise);
      stillWorks(session.connection(), local, session.remote(SIZE));
    }
  }

  @Test
  @DisplayName("L10 A buffer is registered whole, whatever its position; only direct ones are")
  void registeredBuffers() throws InterruptedException {
    try (Session session = session()) {
      ByteBuffer memory = ByteBuffer.allocateDirect(SIZE);
      memory.position(100).limit(200);
      MemoryRegion local = session.engine().register(memory);
      assertThat(local.length()).isEqualTo(SIZE);
      stillWorks(session.connection(), local, session.remote(SIZE));
      memory.clear();
      assertThat(Pattern.mismatch(memory, SEED + 1, 0)).as("the caller's own buffer").isEqualTo(-1);
      P2pEngine engine = session.engine();
      assertThatIllegalArgumentException()
          .isThrownBy(() -> engine.register(ByteBuffer.allocate(10)));
      assertThatIllegalArgumentException()
          .isThrownBy(() -> engine.register(memory.asReadOnlyBuffer()));
      assertThatIllegalArgumentException()
          .isThrownBy(() -> engine.register(ByteBuffer.allocateDirect(0)));
    }
  }

  @Test
  @DisplayName("L11 Memory is registered by its address, and descriptors carry that address")
  void registeredAddresses() throws InterruptedException {
    TransportConformance.requireNativeMemory();
    try (Session session = session();
        NativeMemory.Allocation memory = NativeMemory.allocate(SIZE)) {
      long address = memory.span().address();
      MemoryRegion local =
          session.engine().register(address + 1, SIZE - 1, RegionAccess.REMOTE_READ_WRITE);
      assertThat(local.address()).isEqualTo(address + 1);
      assertThat(local.hasNativeAddress()).isTrue();
      assertThat(local.advertise(5, 10).address()).isEqualTo(address + 6);
      stillWorks(session.connection(), local, session.remote(SIZE - 1));
      assertThat(Pattern.mismatch(memory.span().slice(1, SIZE - 1), SEED + 1, 0)).isEqualTo(-1);
      local.close();
    }
  }

  @Test
  @DisplayName("L12 Allocated memory starts as zeros, and a stale view of it stays safe")
  void allocatedMemory() throws InterruptedException {
    TransportConformance.requireNativeMemory();
    try (Session session = session()) {
      MemoryRegion local = session.engine().allocate(SIZE);
      check("fresh memory", local, 0);
      stillWorks(session.connection(), local, session.remote(SIZE));
      ByteBuffer stale = local.slice(0, SIZE);
      local.close();
      awaitGivenBack(stale);
    }
  }

  /** Runs something that has to return at once. */
  static void quickly(String what, Runnable action) {
    long start = System.nanoTime();
    action.run();
    Duration taken = Duration.ofNanos(System.nanoTime() - start);
    assertThat(taken).as(what).isLessThan(Limits.QUICK);
  }

  /** Writes a whole region, and reads it back changed. */
  static void stillWorks(Connection connection, MemoryRegion local, RemoteRegion remote)
      throws InterruptedException {
    FifoDescriptor there = remote.advertise();
    long length = Math.min(local.length(), remote.length());
    Pattern.fill(local, 0, length, SEED, 0);
    finish(connection.write(local, 0, there, 0, length));
    remote.check("a write after that", 0, length, SEED, 0);
    remote.fill(0, length, SEED + 1, 0);
    finish(connection.read(local, 0, there, 0, length));
    check("a read after that", local, 0, length, SEED + 1, 0);
    assertThat(connection.isOpen()).isTrue();
  }
}
