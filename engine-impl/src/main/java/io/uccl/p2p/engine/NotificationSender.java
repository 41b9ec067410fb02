package io.uccl.p2p.engine;

import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import java.util.ArrayDeque;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Sends the notifications of one connection, in pieces where the peer takes them, and knows how
 * many of them are confirmed: by the peer's acknowledgement, or for a peer that gives none by the
 * kernel's having taken them. Any thread may call every method.
 *
 * <p>What is not confirmed takes memory here or at the peer, so it is counted, and bounded. One
 * that is held back until a transfer has ended counts from the beginning.
 */
final class NotificationSender {

  /** Bytes, unconfirmed or held back, from which on no more is taken. */
  static final long MOST_BYTES = Notification.MAX_FRAME_BYTES;

  private final @Nullable ControlLink link;
  private final boolean acknowledged;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final ArrayDeque<Long> costs = new ArrayDeque<>();
  private long sent;
  private long confirmed;
  private long unconfirmedBytes;
  private long heldBytes;
  private boolean ended;
  private @Nullable P2pException failure;

  /**
   * Makes one.
   *
   * @param link null if there is none to the peer; then {@link #end} is to say why
   * @param acknowledged whether the peer takes pieces and acknowledges
   */
  NotificationSender(@Nullable ControlLink link, boolean acknowledged) {
    this.link = link;
    this.acknowledged = acknowledged;
  }

  /** Whether another notification is taken. */
  boolean hasRoom() {
    lock.lock();
    try {
      return unconfirmedBytes + heldBytes <= MOST_BYTES;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Queues a notification.
   *
   * @param encoded its frame
   * @return false if the link has ended
   */
  boolean send(byte[] encoded) {
    return send(frames(encoded), cost(encoded));
  }

  private boolean send(List<byte[]> frames, long cost) {
    lock.lock();
    try {
      // Under the lock, so that the order of costs is that of the frames.
      if (ended
          || link == null
          || !link.sendNotification(frames, acknowledged ? () -> {} : this::taken)) {
        return false;
      }
      sent++;
      costs.add(cost);
      unconfirmedBytes += cost;
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** A notification that is held back, cut and counted; what sends it has no time for that. */
  static final class Held {
    private final List<byte[]> frames;
    private final long cost;

    private Held(List<byte[]> frames, long cost) {
      this.frames = frames;
      this.cost = cost;
    }
  }

  /** Counts a notification that {@link #sendHeld} or {@link #dropHeld} takes up later. */
  Held hold(byte[] encoded) {
    Held held = new Held(frames(encoded), cost(encoded));
    lock.lock();
    try {
      heldBytes += held.cost;
      return held;
    } finally {
      lock.unlock();
    }
  }

  /** Queues a notification that was held back; drops it if the link has ended. */
  void sendHeld(Held held) {
    // In this order, so that it counts all the time.
    send(held.frames, held.cost);
    dropHeld(held);
  }

  /** Forgets a notification that was held back. */
  void dropHeld(Held held) {
    lock.lock();
    try {
      heldBytes -= held.cost;
    } finally {
      lock.unlock();
    }
  }

  private List<byte[]> frames(byte[] encoded) {
    return acknowledged ? NotificationPieces.cut(encoded) : List.of(encoded);
  }

  private static long cost(byte[] encoded) {
    return (long) InboxBudget.OVERHEAD_BYTES + encoded.length;
  }

  private void taken() {
    lock.lock();
    try {
      confirm(confirmed + 1);
    } finally {
      lock.unlock();
    }
  }

  /**
   * The peer says how many were delivered there since the link began.
   *
   * @return false if that cannot be
   */
  boolean acknowledged(long count) {
    lock.lock();
    try {
      if (count < confirmed || count > sent) {
        return false;
      }
      confirm(count);
      return true;
    } finally {
      lock.unlock();
    }
  }

  private void confirm(long count) {
    while (confirmed < count) {
      confirmed++;
      unconfirmedBytes -= costs.remove();
    }
    changed.signalAll();
  }

  /** How a wait for confirmation ended. */
  enum Flush {
    CONFIRMED,
    TIMED_OUT,
    ENDED
  }

  /** Waits until all that was sent before is confirmed. */
  Flush flush(long nanos) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long all = sent;
      long left = nanos;
      while (confirmed < all) {
        if (ended) {
          return Flush.ENDED;
        }
        if (left <= 0) {
          return Flush.TIMED_OUT;
        }
        left = changed.awaitNanos(left);
      }
      return Flush.CONFIRMED;
    } finally {
      lock.unlock();
    }
  }

  /** The connection has ended: nothing will be confirmed any more. */
  void end() {
    end(null);
  }

  /**
   * Nothing is sent or confirmed any more.
   *
   * @param cause what notifications fail with though the connection is open; null if it has ended
   */
  void end(@Nullable P2pException cause) {
    lock.lock();
    try {
      if (!ended) {
        ended = true;
        failure = cause;
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Why notifications cannot be sent though the connection may be open, or null. */
  @Nullable P2pException failure() {
    lock.lock();
    try {
      return failure;
    } finally {
      lock.unlock();
    }
  }
}
