package io.uccl.p2p.spi.nativelib;

import io.uccl.p2p.spi.MemorySpan;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A mapped range that is unmapped when nothing can reach it any more.
 *
 * <p>Its <i>holders</i> are counted: the mapper that makes its buffers, and every buffer made. A
 * slice, duplicate or typed view of a buffer keeps that buffer reachable, so it needs no count of
 * its own. When the garbage collector finds a holder unreachable, a {@link Cleaner} counts it off;
 * the last one unmaps. While a mapper makes a buffer it is itself reachable, so the count cannot
 * reach 0 under it, and once it has, nobody is left to make another.
 *
 * <p>This object refers to no holder, else none would become unreachable.
 */
final class Mapping implements Runnable {

  /** How long a round of {@link #map} waits for one more range to be unmapped. */
  private static final long QUIET_NANOS = TimeUnit.MILLISECONDS.toNanos(200);

  private static final int ROUNDS = 3;

  private static final ReentrantLock LOCK = new ReentrantLock();
  private static final Condition UNMAPPED = LOCK.newCondition();
  private static long mappedCount;
  private static long unmappedCount;
  private static long mappedBytes;

  private final long address;
  private final long length;
  private final AtomicInteger holders = new AtomicInteger();

  private Mapping(long address, long length) {
    this.address = address;
    this.length = length;
  }

  /** Made with the first mapping, so that a process without any has no thread for it. */
  private static final class Holders {
    static final Cleaner CLEANER =
        Cleaner.create(
            task -> {
              Thread thread = new Thread(null, task, "p2p-memory-cleaner", 0, false);
              thread.setDaemon(true);
              thread.setContextClassLoader(null);
              return thread;
            });
  }

  /**
   * Maps memory. If there is no room, it collects garbage first to unmap what is unreachable:
   * closed allocations take no memory but keep their addresses until then.
   *
   * @return the address, or {@code -errno}
   */
  static long map(long length) {
    long seen = unmappedCount();
    long result = MemoryShim.map(length);
    for (int round = 0; round < ROUNDS && isFull(result) && liveCount() > 0; round++) {
      System.gc();
      boolean progress = false;
      while (isFull(result) && awaitUnmapped(seen, QUIET_NANOS)) {
        progress = true;
        seen = unmappedCount();
        result = MemoryShim.map(length);
      }
      if (!progress) {
        break;
      }
    }
    if (result > 0) {
      count(true, length);
    }
    return result;
  }

  private static boolean isFull(long result) {
    return result == -Errno.ENOMEM;
  }

  /**
   * A span over a range that {@link #map} returned. The span, its buffers and their views are what
   * keeps the range mapped.
   */
  static MemorySpan span(long address, long length) {
    return MemorySpan.of(address, length, new Mapping(address, length).new Windows());
  }

  /** Makes the buffers of a span; a holder itself. */
  private final class Windows implements MemorySpan.WindowMapper {

    Windows() {
      heldBy(this);
    }

    @Override
    public ByteBuffer map(long offset, int size) {
      try {
        ByteBuffer buffer = NativeMemory.bufferAt(address + offset, size);
        heldBy(buffer);
        return buffer;
      } finally {
        Reference.reachabilityFence(this);
      }
    }
  }

  private void heldBy(Object holder) {
    holders.incrementAndGet();
    boolean registered = false;
    try {
      Holders.CLEANER.register(holder, this);
      registered = true;
    } finally {
      if (!registered) {
        run();
      }
    }
  }

  /** A holder is gone. */
  @Override
  public void run() {
    if (holders.decrementAndGet() == 0 && MemoryShim.unmap(address, length) == 0) {
      count(false, length);
    }
  }

  private static void count(boolean mapped, long length) {
    LOCK.lock();
    try {
      if (mapped) {
        mappedCount++;
        mappedBytes += length;
      } else {
        unmappedCount++;
        mappedBytes -= length;
        UNMAPPED.signalAll();
      }
    } finally {
      LOCK.unlock();
    }
  }

  /** How many ranges were unmapped so far. */
  static long unmappedCount() {
    LOCK.lock();
    try {
      return unmappedCount;
    } finally {
      LOCK.unlock();
    }
  }

  /** Bytes of the ranges that are mapped now. */
  static long mappedBytes() {
    LOCK.lock();
    try {
      return mappedBytes;
    } finally {
      LOCK.unlock();
    }
  }

  /** How many ranges are mapped now. */
  static long liveCount() {
    LOCK.lock();
    try {
      return mappedCount - unmappedCount;
    } finally {
      LOCK.unlock();
    }
  }

  /**
   * Waits until more ranges were unmapped than {@code seen}. An interrupt does not end the wait; it
   * is kept for the caller.
   *
   * @return false if none was within {@code nanos}
   */
  static boolean awaitUnmapped(long seen, long nanos) {
    boolean interrupted = false;
    long left = nanos;
    long end = System.nanoTime() + nanos;
    LOCK.lock();
    try {
      while (unmappedCount == seen && left > 0) {
        try {
          left = UNMAPPED.awaitNanos(left);
        } catch (InterruptedException e) {
          interrupted = true;
          left = end - System.nanoTime();
        }
      }
      return unmappedCount != seen;
    } finally {
      LOCK.unlock();
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
