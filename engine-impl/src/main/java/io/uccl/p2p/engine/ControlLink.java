package io.uccl.p2p.engine;

import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.jspecify.annotations.Nullable;

/**
 * One TCP connection of a {@link ControlChannel}: the queue of frames to send on it, and how far it
 * is on its way from connecting to closed.
 *
 * <p><b>Threads.</b> {@link #send} and the like, {@link #pauseReading}, {@link #resumeReading},
 * {@link #watch}, {@link #closeAfterSending}, {@link #close} and the getters but {@link
 * #attachment} may be called from any thread, also from the listener's methods. They do not block.
 * The rest belongs to the control thread.
 */
final class ControlLink {

  /** What the callers want. */
  enum Closing {
    NOT,
    AFTER_SENDING,
    NOW
  }

  /** How far the control thread has got. */
  enum Stage {
    /** To be connected. */
    NEW,
    CONNECTING,
    OPEN,
    /** Everything is sent and the peer was told so; waiting for the peer to close. */
    DRAINING,
    CLOSED
  }

  private final ControlChannel owner;
  private final InetSocketAddress remote;
  private final boolean outgoing;
  private final AtomicBoolean waitsForAttention = new AtomicBoolean();

  private final Object lock = new Object();
  private final SendQueue queue = new SendQueue();
  private Closing closing = Closing.NOT;
  private volatile boolean readingPaused;
  private volatile @Nullable InetSocketAddress watchedAt;

  // The control thread's.
  final FrameAssembler assembler = new FrameAssembler();
  Stage stage = Stage.NEW;
  @Nullable SocketChannel socket;
  @Nullable SelectionKey key;
  long deadline;
  Heartbeats.@Nullable Watched watched;
  private final List<Runnable> taken = new ArrayList<>(0);
  private @Nullable Object attachment;

  ControlLink(ControlChannel owner, InetSocketAddress remote, boolean outgoing) {
    this.owner = owner;
    this.remote = remote;
    this.outgoing = outgoing;
  }

  /** The peer's address: as it was given to {@code connect}, or as the socket has it. */
  InetSocketAddress remote() {
    return remote;
  }

  /** True if this side connected. */
  boolean outgoing() {
    return outgoing;
  }

  /**
   * Queues a control frame, which overtakes notifications; before the link is connected, too.
   *
   * @param payload 1 byte to 64 MiB; must not be changed any more
   * @return false if the link is closed, or closing
   * @throws IllegalArgumentException if the payload is empty or too long for a frame
   */
  boolean send(byte[] payload) {
    return queue(List.of(payload), () -> queue.addControl(payload, null));
  }

  /**
   * The same, and says when it has gone.
   *
   * @param whenTaken run on the control thread when the kernel has taken it; never if the link ends
   *     before
   */
  boolean send(byte[] payload, Runnable whenTaken) {
    return queue(List.of(payload), () -> queue.addControl(payload, whenTaken));
  }

  /**
   * Queues a control frame that says all that the one before it, sent by this method, said: it
   * takes that one's place if it still waits.
   *
   * @return as {@link #send}
   */
  boolean sendLatest(byte[] payload) {
    return queue(List.of(payload), () -> queue.addLatest(payload));
  }

  /**
   * Queues the frames of one notification, behind those of the notifications before it.
   *
   * @param whenTaken run on the control thread when the kernel has taken all of them; never if the
   *     link ends before
   * @return as {@link #send}
   */
  boolean sendNotification(List<byte[]> payloads, Runnable whenTaken) {
    return queue(payloads, () -> queue.addNotification(payloads, whenTaken));
  }

  private boolean queue(List<byte[]> payloads, Runnable add) {
    payloads.forEach(ControlLink::checkLength);
    synchronized (lock) {
      if (closing != Closing.NOT) {
        return false;
      }
      add.run();
    }
    owner.attend(this);
    return true;
  }

  private static void checkLength(byte[] payload) {
    if (payload.length < 1 || payload.length > FrameAssembler.MAX_PAYLOAD_BYTES) {
      throw new IllegalArgumentException(
          "a frame carries 1 to "
              + FrameAssembler.MAX_PAYLOAD_BYTES
              + " bytes, but "
              + payload.length
              + " were given");
    }
  }

  /** Bytes that the kernel has not taken yet, the frames' lengths included. */
  long queuedBytes() {
    synchronized (lock) {
      return queue.bytes();
    }
  }

  /**
   * Reads no more, so that the peer meets back-pressure, until {@link #resumeReading}. What was
   * read already is still delivered. That the peer ends the link is not noticed meanwhile.
   */
  void pauseReading() {
    readingPaused = true;
    owner.attend(this);
  }

  /** Reads again. */
  void resumeReading() {
    readingPaused = false;
    owner.attend(this);
  }

  /**
   * Sends heartbeats from now on, and judges the peer by what comes. Only for a peer that sends
   * heartbeats too.
   *
   * @param control where the peer's control channel listens: its kernel is asked there
   */
  void watch(InetSocketAddress control) {
    watchedAt = control;
    owner.attend(this);
  }

  /** Where the peer is to be asked, or null if it is not to be watched. */
  @Nullable InetSocketAddress watchedAt() {
    return watchedAt;
  }

  /**
   * Closes the link in such a way that the peer can read all that was queued before. Nothing is
   * received any more. A peer that does not read for {@link ControlChannel#SENDING_SECONDS} loses
   * what it has not read.
   */
  void closeAfterSending() {
    close(Closing.AFTER_SENDING);
  }

  /** Closes the link; what the kernel has not taken yet is not sent. Idempotent. */
  void close() {
    close(Closing.NOW);
  }

  private void close(Closing how) {
    synchronized (lock) {
      if (closing.compareTo(how) >= 0) {
        return;
      }
      closing = how;
      if (how == Closing.NOW) {
        queue.clear();
      }
    }
    owner.attend(this);
  }

  /** What the listener attached. On the control thread only. */
  @Nullable Object attachment() {
    return attachment;
  }

  /** Attaches whatever the listener likes. On the control thread only. */
  void attach(@Nullable Object value) {
    attachment = value;
  }

  @Override
  public String toString() {
    return (outgoing ? "link to " : "link from ") + remote;
  }

  /** The peer has sent a handshake, so it speaks this protocol. On the control thread only. */
  void shookHands() {
    assembler.allowEmptyFrames();
  }

  // -- for the control channel

  /** True if it was not yet on the list of links that need attention. */
  boolean askForAttention() {
    return !waitsForAttention.getAndSet(true);
  }

  void attentionGiven() {
    waitsForAttention.set(false);
  }

  /** A link that is to close is read to its end, whatever was paused. */
  boolean isReadingPaused() {
    return readingPaused && closing() == Closing.NOT;
  }

  Closing closing() {
    synchronized (lock) {
      return closing;
    }
  }

  boolean hasQueued() {
    synchronized (lock) {
      return !queue.isEmpty();
    }
  }

  /** Queues a heartbeat, unless something else waits to be sent or the link is closing. */
  void queueHeartbeat() {
    synchronized (lock) {
      if (closing == Closing.NOT) {
        queue.addHeartbeat();
      }
    }
  }

  /** Copies from the head of the queue as much as fits, and leaves it in the queue. */
  void copyQueued(ByteBuffer target) {
    synchronized (lock) {
      queue.copyTo(target);
    }
  }

  /** Takes from the head of the queue what the kernel took. */
  void sent(int bytes) {
    synchronized (lock) {
      queue.sent(bytes, taken);
    }
    if (!taken.isEmpty()) {
      List<Runnable> ready = List.copyOf(taken);
      taken.clear();
      ready.forEach(Runnable::run);
    }
  }
}
