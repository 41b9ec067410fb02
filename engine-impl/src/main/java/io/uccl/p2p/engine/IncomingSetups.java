package io.uccl.p2p.engine;

import io.uccl.p2p.HandshakeException;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Incoming links that are no connections yet. Anybody can make one and say nothing, so their time
 * and their number have a bound. The owner of the transport's.
 */
final class IncomingSetups {

  /** How many there may be; when one more comes, the oldest is ended. */
  static final int MOST = 1024;

  /** How long a peer that connects may take, as the reference has it. */
  static final long HANDSHAKE_NANOS = TimeUnit.SECONDS.toNanos(10);

  private static final Logger LOG = LoggerFactory.getLogger(IncomingSetups.class);

  // In the order in which they came.
  private final Set<ConnectionSetup> setups = new LinkedHashSet<>();

  int size() {
    return setups.size();
  }

  /** One has come. An honest peer takes milliseconds, so the oldest is the one to do without. */
  void add(ConnectionSetup setup) {
    if (setups.size() == MOST) {
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
  }

  /** Ends those whose time is over. */
  void expire(long now) {
    while (!setups.isEmpty() && now - oldest().since() > HANDSHAKE_NANOS) {
      ConnectionSetup late = takeOldest();
      late.fail(
          new HandshakeException("the peer did not finish its handshake in time", late.detail()));
    }
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
