package io.uccl.p2p.engine;

import io.uccl.p2p.Notification;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/**
 * Bounds what notifications take that nobody has taken yet. When they are too many, the links that
 * bring more are not read any more, so that their senders meet back-pressure; when half of them
 * were taken, reading goes on.
 *
 * <p>Those that have come in part count too. Beyond the budget comes at most, from each link, the
 * frame that exceeded it and what was read together with it; and while none is whole, so that
 * nothing can be taken, the rest of one notification.
 */
final class InboxBudget {

  /** For all notifications of an engine. */
  static final long DEFAULT_BYTES = 128L << 20;

  /** What a notification takes beside its bytes: small ones must not be free. */
  static final int OVERHEAD_BYTES = 128;

  private final long budget;
  private final Set<ControlLink> paused = new LinkedHashSet<>();
  private final Map<ControlLink, Long> halves = new HashMap<>();
  private long used;
  private long waiting;

  InboxBudget(long budget) {
    this.budget = budget;
  }

  /** A part of a notification has come on a link. */
  synchronized void pieceArrived(ControlLink link, int bytes) {
    halves.merge(link, (long) bytes, Long::sum);
    used += bytes;
    pauseIfFull(link);
  }

  /** A notification has come on a link, all of it now. */
  synchronized void arrived(ControlLink link, Notification notification) {
    used += cost(notification) - halfOf(link);
    waiting++;
    pauseIfFull(link);
  }

  /** A notification was taken, or dropped. */
  synchronized void gone(Notification notification) {
    used -= cost(notification);
    waiting--;
    resumeIfRoom();
  }

  /** A link has ended. */
  synchronized void closed(ControlLink link) {
    paused.remove(link);
    used -= halfOf(link);
    resumeIfRoom();
  }

  private long halfOf(ControlLink link) {
    Long half = halves.remove(link);
    return half == null ? 0 : half;
  }

  private void pauseIfFull(ControlLink link) {
    // With nothing to be taken, the unfinished ones would wait for each other for ever.
    if (used > budget && waiting > 0 && paused.add(link)) {
      link.pauseReading();
    }
  }

  private void resumeIfRoom() {
    if (used <= budget / 2 || waiting == 0) {
      paused.forEach(ControlLink::resumeReading);
      paused.clear();
    }
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
