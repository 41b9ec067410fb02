package io.uccl.p2p.spi.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.nativelib.NativeMemory.Allocation;
import java.lang.ref.Reference;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class NativeMemoryTest {

  private static final long GIB = 1L << 30;

  @BeforeEach
  void needsTheShim() {
    Natives.assumeShim();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 63, 4095, 4096, 4097, 1179648})
  void allocatesZeroedPageAlignedMemory(long length) {
    try (Allocation allocation = NativeMemory.allocate(length)) {
      MemorySpan span = allocation.span();
      assertThat(span.length()).isEqualTo(length);
      assertThat(span.address()).isPositive();
      assertThat(span.address() % NativeMemory.pageSize()).isZero();
      ByteBuffer all = span.slice(0, (int) length);
      assertThat(all.order()).isEqualTo(ByteOrder.BIG_ENDIAN);
      assertThat(all.isReadOnly()).isFalse();
      assertThat(all.mismatch(ByteBuffer.allocate((int) length))).isEqualTo(-1);
      all.put((int) length - 1, (byte) 7);
      assertThat(span.window(0).get((int) length - 1)).isEqualTo((byte) 7);
    }
  }

  @Test
  void reachesEveryByteBeyond4Gib() {
    long length = 5 * GIB + 4097;
    try (Allocation allocation = NativeMemory.allocate(length)) {
      MemorySpan span = allocation.span();
      assertThat(span.windowCount()).isEqualTo(6);
      long[] offsets = {0, GIB - 4, 2 * GIB - 5, 4 * GIB + 1, 5 * GIB - 3, length - 8};
      for (long offset : offsets) {
        span.slice(offset, 8).putLong(0, ~offset);
      }
      for (long offset : offsets) {
        assertThat(span.slice(offset, 8).getLong(0)).isEqualTo(~offset);
        assertThat(NativeMemory.wrap(span.address() + offset, 8).window(0).getLong(0))
            .isEqualTo(~offset);
      }
      // Longer than what any window holds of it: a buffer of its own.
      ByteBuffer wide = span.slice(3 * GIB + 1, Integer.MAX_VALUE);
      assertThat(wide.getLong((int) GIB)).isEqualTo(~(4 * GIB + 1));
      assertThat(span.slice(length, 0).remaining()).isZero();
      assertThatThrownBy(() -> span.slice(length - 7, 8))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void wrapSeesTheSameBytes() {
    try (Allocation allocation = NativeMemory.allocate(3 * GIB)) {
      MemorySpan span = allocation.span();
      MemorySpan same = NativeMemory.wrap(span.address() + 1, 3 * GIB - 1);
      same.slice(2 * GIB + 4, 8).putLong(0, 0x0102030405060708L);
      assertThat(span.slice(2 * GIB + 5, 8).getLong(0)).isEqualTo(0x0102030405060708L);
      assertThat(same.address()).isEqualTo(span.address() + 1);
      assertThat(same.length()).isEqualTo(3 * GIB - 1);
    }
  }

  @Test
  void wrapReachesAJdkBufferByItsAddress() {
    ByteBuffer buffer = ByteBuffer.allocateDirect(100);
    long address = NativeMemory.address(buffer);
    NativeMemory.wrap(address, 100).slice(10, 4).putInt(0, 42);
    assertThat(buffer.getInt(10)).isEqualTo(42);
    buffer.position(50).limit(60);
    assertThat(NativeMemory.address(buffer)).isEqualTo(address);
    assertThat(NativeMemory.address(buffer.slice())).isEqualTo(address + 50);
    assertThat(NativeMemory.address(buffer.asReadOnlyBuffer())).isEqualTo(address);
  }

  @Test
  void addressOfAHeapBufferIsRefused() {
    assertThatThrownBy(() -> NativeMemory.address(ByteBuffer.allocate(8)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("heap");
  }

  @Test
  void rangesThatCannotBeAreRefused() {
    long[][] ranges = {
      {0, 8}, {-4096, 8}, {4096, 0}, {4096, -1}, {4096, Long.MAX_VALUE}, {Long.MAX_VALUE, 1}
    };
    for (long[] range : ranges) {
      assertThatThrownBy(() -> NativeMemory.wrap(range[0], range[1]))
          .isInstanceOf(IllegalArgumentException.class);
    }
    for (long length : new long[] {0, -1, Long.MIN_VALUE}) {
      assertThatThrownBy(() -> NativeMemory.allocate(length))
          .isInstanceOf(IllegalArgumentException.class);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1L << 62, 1L << 47, Long.MAX_VALUE})
  void absurdLengthsAreAnErrorWithErrnoAndRemedy(long length) {
    RegistrationException e =
        catchThrowableOfType(
            RegistrationException.class, () -> NativeMemory.allocate(length).close());
    assertThat(e).hasMessageContainingAll(Long.toString(length), "ENOMEM", "ulimit -v");
    assertThat(e.detail().providerErrno()).isEqualTo(Errno.ENOMEM);
    assertThat(e.detail().providerText()).isEqualTo("ENOMEM (Cannot allocate memory)");
  }

  @Test
  void mappedBytesCountWhatSomethingCanReach() {
    awaitNothingMapped();
    assertThat(NativeMemory.mappedBytes()).isZero();
    allocateAndKeepAView();
    awaitNothingMapped();
    assertThat(NativeMemory.mappedBytes()).isZero();
  }

  private static void allocateAndKeepAView() {
    Allocation allocation = NativeMemory.allocate(12345);
    assertThat(NativeMemory.mappedBytes()).isEqualTo(12345);
    ByteBuffer view = allocation.span().slice(0, 10);
    allocation.close();
    System.gc();
    assertThat(NativeMemory.mappedBytes()).as("a view is left").isEqualTo(12345);
    assertThat(view.get(0)).isZero();
  }

  private static void awaitNothingMapped() {
    for (int round = 0; Mapping.liveCount() > 0; round++) {
      assertThat(round).as("collections without an end of it").isLessThan(100);
      long seen = Mapping.unmappedCount();
      System.gc();
      Mapping.awaitUnmapped(seen, 100_000_000);
    }
  }

  @Test
  void staleViewsReadZeros() {
    Allocation allocation = NativeMemory.allocate(3 * GIB);
    MemorySpan span = allocation.span();
    ByteBuffer slice = span.slice(4096, 64);
    ByteBuffer wide = span.slice(GIB / 2, (int) (GIB + GIB / 2 + 8));
    span.window(0).putLong(4096, -1);
    span.window(2).putLong((int) GIB - 8, -1);
    wide.putLong(wide.capacity() - 8, -1);
    LongBuffer longs = slice.asLongBuffer();
    ByteBuffer readOnly = slice.asReadOnlyBuffer();
    assertThat(longs.get(0)).isEqualTo(-1);

    allocation.close();
    assertThat(slice.getLong(0)).isZero();
    assertThat(slice.duplicate().getLong(0)).isZero();
    assertThat(longs.get(0)).isZero();
    assertThat(readOnly.getLong(0)).isZero();
    assertThat(wide.getLong(wide.capacity() - 8)).isZero();
    assertThat(span.window(2).getLong((int) GIB - 8)).isZero();
    assertThat(span.slice(4096, 8).getLong(0)).isZero();
    assertThat(allocation.span()).isSameAs(span);

    slice.putLong(0, 5);
    allocation.close();
    assertThat(slice.getLong(0)).as("a second close does nothing").isEqualTo(5);
  }

  @Test
  void closeGivesTheMemoryBackAtOnce() throws Exception {
    int length = 256 << 20;
    long page = NativeMemory.pageSize();
    Allocation allocation = NativeMemory.allocate(length);
    MemorySpan span = allocation.span();
    ByteBuffer window = span.window(0);
    for (long i = 0; i < length; i += page) {
      window.put((int) i, (byte) 1);
    }
    long before = ProcessMemory.status("RssAnon");
    allocation.close();
    long after = ProcessMemory.status("RssAnon");
    assertThat(before - after).isGreaterThan(length / 4 * 3);
    assertThat(ProcessMemory.mapped(span.address(), length)).isEqualTo(length);
  }

  /** What can be all that is left of an allocation. */
  enum Kept {
    ALLOCATION(a -> a),
    SPAN(Allocation::span),
    WINDOW(a -> a.span().window(1)),
    SLICE(a -> a.span().slice(100, 100)),
    SLICE_OF_SLICE(a -> a.span().slice(100, 100).slice(1, 50).slice()),
    DUPLICATE(a -> a.span().window(0).duplicate()),
    READ_ONLY(a -> a.span().slice(1, 100).asReadOnlyBuffer()),
    LONGS(a -> a.span().slice(8, 80).asLongBuffer()),
    FLOATS_OF_SLICE_LITTLE_ENDIAN(
        a -> a.span().slice(8, 80).order(ByteOrder.LITTLE_ENDIAN).slice().asFloatBuffer()),
    WIDE(a -> a.span().slice(1, Integer.MAX_VALUE)),
    SLICE_OF_WIDE(a -> a.span().slice(1, Integer.MAX_VALUE).slice(1, 1));

    final Function<Allocation, Object> view;

    Kept(Function<Allocation, Object> view) {
      this.view = view;
    }
  }

  @ParameterizedTest
  @EnumSource(Kept.class)
  void staysMappedWhileAnyViewIsReachable(Kept kept) throws Exception {
    for (boolean close : new boolean[] {true, false}) {
      long length = 4 * GIB;
      long address = keepAndCollect(kept, length, close);
      // The JVM may have taken a little of the range for itself in the meantime.
      assertThat(ProcessMemory.collectUntil(() -> ProcessMemory.mapped(address, length) < GIB))
          .isTrue();
    }
  }

  private static long keepAndCollect(Kept kept, long length, boolean close) throws Exception {
    long[] address = new long[1];
    Object view = allocateAndKeep(kept, length, close, address);
    try {
      ProcessMemory.collect();
      assertThat(ProcessMemory.mapped(address[0], length)).isEqualTo(length);
      if (view instanceof ByteBuffer bytes) {
        assertThat(bytes.get(0)).isZero();
      }
    } finally {
      Reference.reachabilityFence(view);
    }
    return address[0];
  }

  private static Object allocateAndKeep(Kept kept, long length, boolean close, long[] address) {
    Allocation allocation = NativeMemory.allocate(length);
    address[0] = allocation.span().address();
    Object view = kept.view.apply(allocation);
    assertThat(view).isInstanceOfAny(Allocation.class, MemorySpan.class, Buffer.class);
    if (close) {
      allocation.close();
    }
    return view;
  }

  @Test
  void thousandsOfCyclesLeaveNoMapping() throws Exception {
    long live = liveAfterCollection();
    long size = ProcessMemory.status("VmSize");
    long length = 8 << 20;
    for (int i = 0; i < 5000; i++) {
      cycle(length, i % 10 != 0);
    }
    assertThat(ProcessMemory.collectUntil(() -> Mapping.liveCount() <= live)).isTrue();
    assertThat(ProcessMemory.status("VmSize") - size).isLessThan(500 * length);
  }

  private static void cycle(long length, boolean close) {
    Allocation allocation = NativeMemory.allocate(length);
    allocation.span().slice(length - 8, 8).putLong(0, 1);
    if (close) {
      allocation.close();
    }
  }

  @Test
  void closedAllocationsDoNotUseTheAddressSpaceUp() throws Exception {
    // 100 GiB pass through 8 GiB of addresses, with nothing else that would start a collection.
    Child child =
        Child.run(
            Child.script(
                "ulimit -v 8388608 && exec \"$@\"",
                Child.java(
                    List.of("-XX:ReservedCodeCacheSize=32m", "-XX:CompressedClassSpaceSize=32m"),
                    "churn",
                    "100",
                    Long.toString(GIB))));
    assertThat(child.output()).isEqualTo("churned\n");
  }

  @Test
  void anAllocationThatDoesNotFitKeepsTheInterruptFlag() {
    try (Allocation live = NativeMemory.allocate(1)) {
      Thread.currentThread().interrupt();
      assertThatThrownBy(() -> NativeMemory.allocate(1L << 62))
          .isInstanceOf(RegistrationException.class);
      assertThat(Thread.interrupted()).isTrue();
      assertThat(live.span().length()).isEqualTo(1);
    }
  }

  @Test
  void manyThreadsAllocateCloseAndCollect() throws Exception {
    long live = liveAfterCollection();
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try {
      List<Future<?>> results = new ArrayList<>();
      CountDownLatch start = new CountDownLatch(8);
      for (int t = 0; t < 8; t++) {
        long tag = t + 1L;
        results.add(
            threads.submit(
                () -> {
                  start.countDown();
                  start.await();
                  for (int i = 0; i < 500; i++) {
                    tagAndClose(tag, i % 100 == 99);
                  }
                  return null;
                }));
      }
      for (Future<?> result : results) {
        result.get();
      }
    } finally {
      threads.shutdownNow();
    }
    assertThat(ProcessMemory.collectUntil(() -> Mapping.liveCount() <= live)).isTrue();
  }

  private static void tagAndClose(long tag, boolean collect) {
    int length = 1 << 16;
    Allocation allocation = NativeMemory.allocate(length);
    ByteBuffer bytes = allocation.span().slice(0, length);
    for (int at = 0; at < length; at += 8) {
      if (bytes.getLong(at) != 0) {
        throw new AssertionError("memory that was not zeroed");
      }
      bytes.putLong(at, tag);
    }
    if (collect) {
      System.gc();
    }
    for (int at = 0; at < length; at += 8) {
      if (bytes.getLong(at) != tag) {
        throw new AssertionError("another thread's memory");
      }
    }
    allocation.close();
    assertThat(bytes.getLong(length - 8)).isZero();
  }

  @Test
  void readersMeetOldBytesOrZerosWhileAnotherThreadCloses() throws Exception {
    int length = 1 << 20;
    ExecutorService threads = Executors.newFixedThreadPool(2);
    try {
      for (int round = 0; round < 100; round++) {
        Allocation allocation = NativeMemory.allocate(length);
        ByteBuffer bytes = allocation.span().slice(0, length);
        for (int at = 0; at < length; at += 8) {
          bytes.putLong(at, -1);
        }
        AtomicBoolean closed = new AtomicBoolean();
        CountDownLatch reading = new CountDownLatch(2);
        List<Future<Boolean>> readers = new ArrayList<>();
        for (int r = 0; r < 2; r++) {
          readers.add(
              threads.submit(
                  () -> {
                    reading.countDown();
                    boolean last;
                    do {
                      last = closed.get();
                      for (int at = 0; at < length; at += 512) {
                        long value = bytes.getLong(at);
                        if (value != 0 && (value != -1 || last)) {
                          return false;
                        }
                      }
                    } while (!last);
                    return true;
                  }));
        }
        reading.await();
        allocation.close();
        closed.set(true);
        for (Future<Boolean> reader : readers) {
          assertThat(reader.get()).isTrue();
        }
      }
    } finally {
      threads.shutdownNow();
    }
  }

  @Test
  void closeSaysWhenTheKernelRefuses() throws Exception {
    // In a process of its own, which ends before anything else can take the addresses.
    Child child = Child.run(Child.java(List.of(), "refused"));
    assertThat(child.output()).contains("was not given back: ENOMEM");
  }

  @Test
  void everyNativeMethodIsCleanUnderTheJvmsChecks() throws Exception {
    Child child = Child.run(Child.java(List.of("-Xcheck:jni", "-ea"), "exercise"));
    assertThat(child.output()).isEqualTo("exercised\n");
    assertThat(child.exit()).isZero();
  }

  /** At most so many are live again later: an earlier test may still have one on a stack. */
  private static long liveAfterCollection() {
    ProcessMemory.collect();
    return Mapping.liveCount();
  }
}
