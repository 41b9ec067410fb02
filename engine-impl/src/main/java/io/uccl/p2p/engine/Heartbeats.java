package io.uccl.p2p.engine;

import io.uccl.p2p.PeerState;
import java.io.IOException;
import java.net.BindException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.channels.UnsupportedAddressTypeException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one timer for all watched links of a {@link ControlChannel}: each second sends heartbeats,
 * has each link's {@link PeerWatch} judge its peer, and makes the probes that it asks for.
 *
 * <p>A probe is a connection to the peer's control port that is closed as soon as it is there: the
 * kernel of a stopped process makes it all the same. A live peer sees a connection that ends before
 * it says anything, and thinks nothing of it.
 *
 * <p>Only the control thread uses it. While peers are as they should be a tick allocates nothing.
 */
final class Heartbeats {

  /** Between two heartbeats. */
  static final long TICK_NANOS = TimeUnit.SECONDS.toNanos(1);

  private static final Logger log = LoggerFactory.getLogger(Heartbeats.class);

  /** A tick that comes later than this was held up, and so was all reading. */
  private static final long LATE_NANOS = TimeUnit.SECONDS.toNanos(1);

  /** Does what comes out of it. */
  interface Links {
    /** A link's peer is to hear from this side, if it does not anyway. */
    void sendHeartbeat(ControlLink link);

    /** Something about a link failed in a way that is not foreseen: it is to end. */
    void failed(ControlLink link, Throwable cause);

    /** The state of a link's peer is another; never LOST. */
    void onPeerState(ControlLink link, PeerState state);

    /** A link's peer is lost. */
    void onLost(ControlLink link, IOException cause);
  }

  private final Selector selector;
  private final Links links;
  // Gone through by index from the end: an iterator would be an allocation, and a verdict may end
  // the link that it is about.
  private final List<Watched> watched = new ArrayList<>();
  private long nextTick;

  /**
   * Makes one that watches nothing yet.
   *
   * @param selector of the control thread; a probe's key has a {@link Watched} attached
   * @param links of the control thread
   */
  Heartbeats(Selector selector, Links links) {
    this.selector = selector;
    this.links = links;
  }

  /** A link whose peer is watched, and the probe that is under way. */
  static final class Watched {
    final ControlLink link;
    private final InetSocketAddress control;
    private final PeerWatch watch;
    private PeerState told = PeerState.CONNECTED;
    private @Nullable SocketChannel probe;
    private long probeDeadline;

    Watched(ControlLink link, InetSocketAddress control, long now) {
      this.link = link;
      this.control = control;
      watch = new PeerWatch(now);
    }
  }

  /**
   * Starts to watch a link, if it is not watched yet.
   *
   * @param control where the peer's kernel is asked
   */
  void watch(ControlLink link, InetSocketAddress control, long now) {
    if (watched.isEmpty()) {
      nextTick = now + TICK_NANOS;
    }
    if (link.watched == null) {
      link.watched = new Watched(link, control, now);
      watched.add(link.watched);
    }
  }

  /** Watches a link no longer. */
  void forget(ControlLink link) {
    Watched gone = link.watched;
    if (gone != null) {
      link.watched = null;
      watched.remove(gone);
      endProbe(gone);
    }
  }

  /** Bytes came on a link. */
  void heard(ControlLink link, long now) {
    Watched one = link.watched;
    if (one != null) {
      one.watch.heard(now);
      endProbe(one);
      tell(one);
    }
  }

  /** How long {@link #serve(long)} has nothing to do. */
  long nanosLeft(long now) {
    long left = Long.MAX_VALUE;
    if (!watched.isEmpty()) {
      left = nextTick - now;
      for (int i = watched.size() - 1; i >= 0; i--) {
        Watched one = watched.get(i);
        if (one.probe != null) {
          left = Math.min(left, one.probeDeadline - now);
        }
      }
    }
    return left;
  }

  /** Does what is due. */
  void serve(long now) {
    if (watched.isEmpty()) {
      return;
    }
    long late = now - nextTick;
    if (late > LATE_NANOS) {
      log.debug("the control thread was held up for {} ms", TimeUnit.NANOSECONDS.toMillis(late));
      for (Watched one : watched) {
        endProbe(one);
        one.watch.restart(now);
      }
    }
    boolean tick = late >= 0;
    if (tick) {
      nextTick = now + TICK_NANOS;
    }
    for (int i = watched.size() - 1; i >= 0; i--) {
      Watched one = watched.get(i);
      try {
        if (one.probe != null && now - one.probeDeadline >= 0) {
          probed(one, PeerWatch.Probe.UNANSWERED, now);
        } else if (tick) {
          tick(one, now);
        }
      } catch (RuntimeException | Error e) {
        links.failed(one.link, e);
      }
    }
  }

  private void tick(Watched one, long now) {
    if (one.link.closing() != ControlLink.Closing.NOT) {
      return;
    }
    links.sendHeartbeat(one.link);
    if (one.link.watched != one) {
      // The link ended by that.
      return;
    }
    boolean probe = one.watch.tick(now, one.link.isReadingPaused());
    tell(one);
    if (probe) {
      startProbe(one, now);
    }
  }

  // -- probes

  /** A probe's key is ready. */
  void serve(Watched one, long now) {
    SocketChannel probe = one.probe;
    if (probe == null) {
      return;
    }
    try {
      if (probe.finishConnect()) {
        probed(one, outcomeOf(probe), now);
      }
    } catch (IOException e) {
      probeFailed(one, e, now);
    }
  }

  private void startProbe(Watched one, long now) {
    try {
      SocketChannel probe = SocketChannel.open();
      one.probe = probe;
      one.probeDeadline = now + PeerWatch.PROBE_NANOS;
      probe.configureBlocking(false);
    } catch (IOException e) {
      notProbed(one, e);
      return;
    }
    try {
      SocketChannel probe = Objects.requireNonNull(one.probe);
      if (probe.connect(one.control)) {
        probed(one, outcomeOf(probe), now);
      } else {
        probe.register(selector, SelectionKey.OP_CONNECT, one);
      }
    } catch (IOException e) {
      probeFailed(one, e, now);
    } catch (UnsupportedAddressTypeException e) {
      // The peer says that it listens on an address of a kind that this machine does not have.
      notProbed(one, e);
    }
  }

  /** TCP lets a socket connect to itself when its own port is the one that nobody listens on. */
  private static PeerWatch.Probe outcomeOf(SocketChannel connected) throws IOException {
    return connected.getLocalAddress().equals(connected.getRemoteAddress())
        ? PeerWatch.Probe.REFUSED
        : PeerWatch.Probe.ANSWERED;
  }

  private void probeFailed(Watched one, IOException e, long now) {
    if (e instanceof BindException) {
      // No local port is free: that says nothing about the peer.
      notProbed(one, e);
    } else if (e instanceof ConnectException) {
      probed(one, PeerWatch.Probe.REFUSED, now);
    } else {
      // No way to the host, or to its network.
      probed(one, PeerWatch.Probe.UNANSWERED, now);
    }
  }

  private void notProbed(Watched one, Exception e) {
    log.debug("{} cannot be probed now: {}", one.link, e.toString());
    endProbe(one);
    one.watch.notProbed();
  }

  private void probed(Watched one, PeerWatch.Probe outcome, long now) {
    endProbe(one);
    one.watch.probed(outcome, now);
    if (one.watch.state() == PeerState.LOST) {
      links.onLost(one.link, new IOException(lossOf(one, outcome, now)));
    } else {
      tell(one);
    }
  }

  private static String lossOf(Watched one, PeerWatch.Probe outcome, long now) {
    String silence =
        String.format(
            Locale.ROOT, "nothing has come for %.1f s", one.watch.silence(now) / 1_000_000_000.0);
    String host = one.control.getAddress().getHostAddress() + " port " + one.control.getPort();
    return outcome == PeerWatch.Probe.REFUSED
        ? silence + ", and the peer's kernel refuses connections to " + host
        : silence + ", and the peer's kernel does not answer at " + host;
  }

  private static void endProbe(Watched one) {
    SocketChannel probe = one.probe;
    one.probe = null;
    if (probe != null) {
      try {
        probe.close();
      } catch (IOException e) {
        log.debug("closing a probe failed: {}", e.toString());
      }
    }
  }

  private void tell(Watched one) {
    PeerState state = one.watch.state();
    if (state != one.told) {
      one.told = state;
      links.onPeerState(one.link, state);
    }
  }
}
