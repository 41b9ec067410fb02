package io.uccl.p2p.engine;

import io.uccl.p2p.HandshakeException;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Incoming links that are no connections yet. Anybody can make one and say nothing, so their time
 * and their number have a bound. The owner of the transport's.
 *
 * <p>A C++ peer dials back before it answers a handshake, and says nothing on that link until it
 * has a notification. So links without a handshake from the address of such a peer may stay as long
 * as it does, {@value #MOST_DIALLED_BACK} of an address; more of them are like any others.
 */
final class IncomingSetups {

  /** How many there may be; when one more comes, the oldest is ended. */
  static final int MOST = 1024;

  /** How many from one address may be silent while there is a C++ peer. */
  static final int MOST_DIALLED_BACK = 64;

  /** How long a peer that connects may take, as the reference has it. */
  static final long HANDSHAKE_NANOS = TimeUnit.SECONDS.toNanos(10);

  private static final Logger LOG = LoggerFactory.getLogger(IncomingSetups.class);

  private final Predicate<InetAddress> hasForeignPeer;

  // In the order in which their time began.
  private final Set<ConnectionSetup> setups = new LinkedHashSet<>();
  // Those that C++ peers have dialled for notifications, for all that is known.
  private final Map<InetAddress, Set<ConnectionSetup>> dialledBack = new HashMap<>();

  /**
   * Makes it.
   *
   * @param hasForeignPeer whether there is a connection to a C++ peer at an address, or an attempt
   *     that may become one
   */
  IncomingSetups(Predicate<InetAddress> hasForeignPeer) {
    this.hasForeignPeer = hasForeignPeer;
  }

  /** How many have a bound on their time. */
  int size() {
    return setups.size();
  }

  /** One has come. */
  void add(ConnectionSetup setup) {
    if (!keptAsDialledBack(setup)) {
      addWithBound(setup);
    }
  }

  /** An honest peer takes milliseconds, so the oldest is the one to do without. */
  private void addWithBound(ConnectionSetup setup) {
    // What the end of one sets off may add others.
    while (setups.size() >= MOST) {
      ConnectionSetup oldest = takeOldest();
      LOG.debug("{} is ended, the oldest of {} without a handshake", oldest.detail().peer(), MOST);
      oldest.cut(
          new HandshakeException(
              "too many others connected before the peer had finished its handshake",
              oldest.detail()));
    }
    setups.add(setup);
  }

  /** It has become a connection, or has failed. */
  void remove(ConnectionSetup setup) {
    setups.remove(setup);
    removeDialledBack(setup);
  }

  /** A handshake has come on it: whatever it was taken for, it has to finish in time now. */
  void shookHands(ConnectionSetup setup) {
    if (removeDialledBack(setup)) {
      setup.restartTime(System.nanoTime());
      addWithBound(setup);
    }
  }

  /** There is one C++ peer less at an address. */
  void foreignPeerGone(InetAddress address) {
    if (hasForeignPeer.test(address)) {
      return;
    }
    Set<ConnectionSetup> left = dialledBack.remove(address);
    if (left != null) {
      // The peer may use them for the next connection, if that comes soon.
      for (ConnectionSetup setup : left) {
        setup.dialledBack(false);
        setup.restartTime(System.nanoTime());
        addWithBound(setup);
      }
    }
  }

  /** Ends those whose time is over. */
  void expire(long now) {
    while (!setups.isEmpty() && now - oldest().since() > HANDSHAKE_NANOS) {
      ConnectionSetup late = takeOldest();
      if (!keptAsDialledBack(late)) {
        late.fail(
            new HandshakeException(
                late.owesAnswer()
                    ? "the accepting side's channel was not ready in time"
                    : "the peer did not finish its handshake in time",
                late.detail()));
      }
    }
  }

  private boolean keptAsDialledBack(ConnectionSetup setup) {
    InetAddress address = setup.senderAddress();
    if (setup.hasShakenHands() || !hasForeignPeer.test(address)) {
      return false;
    }
    Set<ConnectionSetup> kept = dialledBack.computeIfAbsent(address, none -> new LinkedHashSet<>());
    if (kept.size() == MOST_DIALLED_BACK) {
      return false;
    }
    kept.add(setup);
    setup.dialledBack(true);
    return true;
  }

  private boolean removeDialledBack(ConnectionSetup setup) {
    InetAddress address = setup.senderAddress();
    Set<ConnectionSetup> kept = dialledBack.get(address);
    if (kept == null || !kept.remove(setup)) {
      return false;
    }
    if (kept.isEmpty()) {
      dialledBack.remove(address);
    }
    setup.dialledBack(false);
    return true;
  }

  private ConnectionSetup oldest() {
    return setups.iterator().next();
  }

  private ConnectionSetup takeOldest() {
    ConnectionSetup oldest = oldest();
    setups.remove(oldest);
    return oldest;
  }
}
