package io.uccl.p2p.engine;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one link has to send, in two lanes: control frames overtake notifications, but not a frame
 * whose first byte was handed out. Not thread-safe: its {@link ControlLink} guards it.
 */
final class SendQueue {

  // Handed out to be sent, in this order: the bytes are fixed from then on.
  private final ArrayDeque<Outgoing> begun = new ArrayDeque<>();
  private final ArrayDeque<Outgoing> control = new ArrayDeque<>();
  private final ArrayDeque<Outgoing> notifications = new ArrayDeque<>();
  private @Nullable Outgoing latest;
  private long bytes;

  /** Queues a control frame. */
  void addControl(byte[] payload) {
    add(control, new Outgoing(payload, null));
  }

  /**
   * Queues a control frame that says all that the one before it said: it takes that one's place if
   * no byte of it was handed out. There is one kind of such frame.
   */
  void addLatest(byte[] payload) {
    if (latest != null && control.remove(latest)) {
      bytes -= latest.remaining();
    }
    latest = new Outgoing(payload, null);
    add(control, latest);
  }

  /**
   * Queues the frames of one notification; nothing but control frames comes in between.
   *
   * @param whenTaken run by {@link #sent} once all of them have been sent
   */
  void addNotification(List<byte[]> payloads, Runnable whenTaken) {
    int last = payloads.size() - 1;
    for (int i = 0; i <= last; i++) {
      add(notifications, new Outgoing(payloads.get(i), i == last ? whenTaken : null));
    }
  }

  private void add(ArrayDeque<Outgoing> lane, Outgoing frame) {
    lane.add(frame);
    bytes += frame.remaining();
  }

  /** Bytes that were not sent yet, the frames' lengths included. */
  long bytes() {
    return bytes;
  }

  boolean isEmpty() {
    return bytes == 0;
  }

  /** Forgets all of it. */
  void clear() {
    begun.clear();
    control.clear();
    notifications.clear();
    bytes = 0;
  }

  /** Copies from the head as much as fits, and keeps it until it is {@link #sent}. */
  void copyTo(ByteBuffer target) {
    for (Outgoing frame : begun) {
      frame.copyTo(target);
    }
    while (target.hasRemaining()) {
      Outgoing next = control.isEmpty() ? notifications.poll() : control.poll();
      if (next == null) {
        return;
      }
      begun.add(next);
      next.copyTo(target);
    }
  }

  /**
   * Takes from the head what was sent.
   *
   * @param taken gets what is to be run for it
   */
  void sent(int count, List<Runnable> taken) {
    int left = count;
    // The queue may have been cleared between copyTo and now.
    while (left > 0 && !begun.isEmpty()) {
      Outgoing head = begun.element();
      int part = (int) Math.min(left, head.remaining());
      head.sent += part;
      left -= part;
      bytes -= part;
      if (head.remaining() == 0) {
        begun.remove();
        if (head.whenTaken != null) {
          taken.add(head.whenTaken);
        }
      }
    }
  }

  /** A frame, and how many of its bytes, length included, were sent. */
  private static final class Outgoing {
    private final byte[] payload;
    private final @Nullable Runnable whenTaken;
    private long sent;

    Outgoing(byte[] payload, @Nullable Runnable whenTaken) {
      this.payload = payload;
      this.whenTaken = whenTaken;
    }

    long remaining() {
      return FrameAssembler.PREFIX_BYTES + payload.length - sent;
    }

    void copyTo(ByteBuffer target) {
      int at = (int) sent;
      while (at < FrameAssembler.PREFIX_BYTES && target.hasRemaining()) {
        int shift = Byte.SIZE * (FrameAssembler.PREFIX_BYTES - 1 - at);
        target.put((byte) (payload.length >>> shift));
        at++;
      }
      if (at >= FrameAssembler.PREFIX_BYTES) {
        int from = at - FrameAssembler.PREFIX_BYTES;
        target.put(payload, from, Math.min(target.remaining(), payload.length - from));
      }
    }
  }
}
