package io.uccl.p2p.engine;

import io.uccl.p2p.Notification;
import java.util.LinkedHashSet;
import java.util.Set;

/**
 * Bounds what notifications take that nobody has taken yet. When they are too many, the links that
 * bring more are not read any more, so that their senders meet back-pressure; when half of them
 * were taken, reading goes on.
 *
 * <p>Beyond the budget comes at most, from each link, the frame that exceeded it and what was read
 * together with it.
 */
final class InboxBudget {

  /** For all notifications of an engine. */
  static final long DEFAULT_BYTES = 128L << 20;

  /** What a notification takes beside its bytes: small ones must not be free. */
  static final int OVERHEAD_BYTES = 128;

  private final long budget;
  private final Set<ControlLink> paused = new LinkedHashSet<>();
  private long used;

  InboxBudget(long budget) {
    this.budget = budget;
  }

  /** A notification has come on a link. */
  synchronized void arrived(ControlLink link, Notification notification) {
    used += cost(notification);
    if (used > budget && paused.add(link)) {
      link.pauseReading();
    }
  }

  /** A notification was taken, or dropped. */
  synchronized void gone(Notification notification) {
    used -= cost(notification);
    if (used <= budget / 2 && !paused.isEmpty()) {
      paused.forEach(ControlLink::resumeReading);
      paused.clear();
    }
  }

  /** A link has ended. */
  synchronized void closed(ControlLink link) {
    paused.remove(link);
  }

  /** Bytes of what has come and is not gone. */
  synchronized long used() {
    return used;
  }

  /** How many links are not read. */
  synchronized int pausedLinks() {
    return paused.size();
  }

  private static long cost(Notification notification) {
    return (long) OVERHEAD_BYTES + notification.frameBytes();
  }
}
