package io.uccl.p2p.engine;

import io.uccl.p2p.PeerState;
import java.util.concurrent.TimeUnit;

/**
 * Judges one peer by when it was last heard and whether its kernel answers. Knows neither sockets
 * nor a clock: it is told what happens, and when.
 *
 * <pre>
 *                silent for 3 s, then a probe
 *   CONNECTED  ---- answered ---------------------------> STALLED --- probed again after 3, 6, 12,
 *       ^      ---- refused, or 3 s without an answer --> LOST  <---- 24, 30, 30 ... s
 *       '------------------------- heard ------------------- '
 * </pre>
 *
 * While this side does not read the state is PAUSED and no silence is counted.
 */
final class PeerWatch {

  /** How long a peer may be silent before it is probed. */
  static final long SILENCE_NANOS = TimeUnit.SECONDS.toNanos(3);

  /** How long its kernel may take to answer a probe. */
  static final long PROBE_NANOS = TimeUnit.SECONDS.toNanos(3);

  // Each probe stays in the accept queue of a stopped peer until that goes on, so they get rare.
  private static final long FIRST_PAUSE_NANOS = TimeUnit.SECONDS.toNanos(3);
  private static final long LONGEST_PAUSE_NANOS = TimeUnit.SECONDS.toNanos(30);

  /** How a probe ended. */
  enum Probe {
    /** The kernel took the connection. */
    ANSWERED,
    /** The kernel says that nobody listens. */
    REFUSED,
    /** Nothing came in time, or the network says that the machine cannot be reached. */
    UNANSWERED
  }

  private PeerState state = PeerState.CONNECTED;
  private long heardAt;
  private boolean probing;
  private long pause = FIRST_PAUSE_NANOS;
  private long probeAgainAt;

  PeerWatch(long now) {
    heardAt = now;
  }

  PeerState state() {
    return state;
  }

  /** How long nothing has come. */
  long silence(long now) {
    return now - heardAt;
  }

  /** Something came from the peer. */
  void heard(long now) {
    heardAt = now;
    probing = false;
    pause = FIRST_PAUSE_NANOS;
    state = PeerState.CONNECTED;
  }

  /**
   * This side could not listen, because its thread was held up: silence up to now means nothing.
   */
  void restart(long now) {
    heardAt = now;
    probing = false;
    probeAgainAt = now + pause;
  }

  /**
   * Time has passed.
   *
   * @param readingPaused whether this side does not read at present
   * @return true if the peer is to be probed now; the answer to that is {@link #probed}
   */
  boolean tick(long now, boolean readingPaused) {
    if (readingPaused) {
      heard(now);
      state = PeerState.PAUSED;
      return false;
    }
    if (state == PeerState.PAUSED) {
      heard(now);
      return false;
    }
    boolean due =
        state == PeerState.STALLED ? now - probeAgainAt >= 0 : silence(now) > SILENCE_NANOS;
    if (probing || !due) {
      return false;
    }
    probing = true;
    return true;
  }

  /** A probe could not even be made, for a reason on this side: the next tick asks for another. */
  void notProbed() {
    probing = false;
  }

  /** A probe has ended. One that was overtaken by other news says nothing any more. */
  void probed(Probe outcome, long now) {
    if (!probing) {
      return;
    }
    probing = false;
    if (outcome == Probe.ANSWERED) {
      state = PeerState.STALLED;
      probeAgainAt = now + pause;
      pause = Math.min(2 * pause, LONGEST_PAUSE_NANOS);
    } else {
      state = PeerState.LOST;
    }
  }
}
