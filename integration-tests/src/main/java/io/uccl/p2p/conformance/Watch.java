package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.spi.RegisteredMemory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * What engines of this process ask of a transport, behind the back of their callers; and what the
 * transport keeps from them meanwhile: reports of operations, and the return of releases. An engine
 * is watched if its environment holds {@link #variables}.
 */
final class Watch implements AutoCloseable {

  private static final AtomicInteger LAST = new AtomicInteger();
  private static final Map<Integer, Watch> OPEN = new ConcurrentHashMap<>();

  private final int number = LAST.incrementAndGet();
  private final long maxOperationBytes;
  private final boolean uncancellable;
  private final BlockingQueue<Long> posted = new LinkedBlockingQueue<>();
  private final BlockingQueue<RegisteredMemory> registered = new LinkedBlockingQueue<>();
  private final List<Runnable> wakeups = new CopyOnWriteArrayList<>();
  private volatile boolean withholding;
  private final AtomicInteger reportings = new AtomicInteger();
  private volatile CountDownLatch releases = new CountDownLatch(0);

  private Watch(long maxOperationBytes, boolean uncancellable) {
    this.maxOperationBytes = maxOperationBytes;
    this.uncancellable = uncancellable;
  }

  static Watch open() {
    return open(new Watch(Long.MAX_VALUE, false));
  }

  /** Also makes the transport say that it takes no longer operations than these. */
  static Watch limiting(long maxOperationBytes) {
    return open(new Watch(maxOperationBytes, false));
  }

  /** Also makes the transport say that nothing can end an operation that it has. */
  static Watch uncancellable() {
    return open(new Watch(Long.MAX_VALUE, true));
  }

  private static Watch open(Watch watch) {
    OPEN.put(watch.number, watch);
    return watch;
  }

  /** The open one of a number, or null: then nobody looks. */
  static @Nullable Watch numbered(int number) {
    return OPEN.get(number);
  }

  /** What the environment of a watched engine holds beside the transport's own. */
  Map<String, String> variables(String transport) {
    return WatchedTransportProvider.variables(transport, number);
  }

  /** Takes the lengths of the operations that the transport has taken since the last call. */
  List<Long> posted() {
    List<Long> lengths = new ArrayList<>();
    posted.drainTo(lengths);
    return lengths;
  }

  /** Takes the memory that was registered since the last call. */
  List<RegisteredMemory> registered() {
    List<RegisteredMemory> memory = new ArrayList<>();
    registered.drainTo(memory);
    return memory;
  }

  /** Waits until the transport has taken so many operations since {@link #posted}. */
  void awaitPosted(int count) {
    long deadline = System.nanoTime() + Limits.PATIENCE.toNanos();
    while (posted.size() < count) {
      assertThat(System.nanoTime() - deadline).as("operations were posted in time").isNegative();
      Thread.yield();
    }
  }

  /** Operations that are posted from now on are not reported. */
  void withhold() {
    withholding = true;
  }

  /** Operations that are posted from now on are reported; those that are withheld are not. */
  void pass() {
    withholding = false;
  }

  /** What is withheld is reported. */
  void report() {
    reportings.incrementAndGet();
    wakeups.forEach(Runnable::run);
  }

  /** Releases do not return from now on. */
  void holdReleases() {
    releases = new CountDownLatch(1);
  }

  /** Releases return. */
  void letReleasesGo() {
    releases.countDown();
  }

  // -- for the transport

  long maxOperationBytes() {
    return maxOperationBytes;
  }

  boolean isUncancellable() {
    return uncancellable;
  }

  /** How to end the transport's blocking, when it has to look here again. */
  void wakeBy(Runnable wakeup) {
    wakeups.add(wakeup);
  }

  boolean isWithholding() {
    return withholding;
  }

  /** How often {@link #report} was called. */
  int reportings() {
    return reportings.get();
  }

  /** Returns when a release may go on. */
  void awaitRelease() {
    try {
      releases.await();
    } catch (InterruptedException e) {
      throw new AssertionError("nobody interrupts a release", e);
    }
  }

  void sees(RegisteredMemory memory) {
    registered.add(memory);
  }

  void sees(long length) {
    posted.add(length);
  }

  @Override
  public void close() {
    OPEN.remove(number);
    pass();
    report();
    letReleasesGo();
  }
}
