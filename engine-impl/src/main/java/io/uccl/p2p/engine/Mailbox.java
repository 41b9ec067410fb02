package io.uccl.p2p.engine;

import io.uccl.p2p.P2pException;
import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * What has come for callers to take, in its order, until the engine ends: then whoever waits is
 * told so at once. Any thread may call every method.
 */
final class Mailbox<T> {

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<T> items = new ArrayDeque<>();
  private @Nullable P2pException closed;

  /** Puts something in; returns false, and forgets it, after {@link #close}. */
  boolean add(T item) {
    lock.lock();
    try {
      if (closed != null) {
        return false;
      }
      items.add(item);
      changed.signal();
      return true;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes the next, or returns null if there is none.
   *
   * @throws P2pException why it was closed
   */
  @Nullable T poll() {
    lock.lock();
    try {
      checkOpen();
      return items.poll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes the next, waiting for one; null if none came in time.
   *
   * @throws InterruptedException if interrupted; nothing was taken
   * @throws P2pException why it was closed, also while waiting
   */
  @Nullable T poll(long nanos) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long left = nanos;
      checkOpen();
      while (items.isEmpty() && left > 0) {
        left = changed.awaitNanos(left);
        checkOpen();
      }
      return items.poll();
    } finally {
      lock.unlock();
    }
  }

  /** Takes out something that nobody shall get any more. */
  void remove(T item) {
    lock.lock();
    try {
      items.remove(item);
    } finally {
      lock.unlock();
    }
  }

  /** Forgets what is there and ends all waiting. The first cause stays. */
  void close(P2pException cause) {
    lock.lock();
    try {
      if (closed == null) {
        closed = cause;
        items.clear();
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  private void checkOpen() {
    if (closed != null) {
      throw closed.withDetail(closed.detail());
    }
  }
}
