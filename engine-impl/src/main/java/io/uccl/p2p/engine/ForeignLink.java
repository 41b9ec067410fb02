package io.uccl.p2p.engine;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An incoming link on which a C++ engine shook hands. It uses one link for all that it has to say
 * to a control port, so each handshake on it makes a peer of its own; the link is closed with the
 * last of them. Only the owner of the transport uses it.
 */
final class ForeignLink {

  private final ControlLink link;
  private final List<ConnectionSetup> peers = new ArrayList<>(1);

  ForeignLink(ControlLink link) {
    this.link = link;
  }

  void add(ConnectionSetup peer) {
    peers.add(peer);
  }

  /** Those whose handshakes came and that have not ended. */
  List<ConnectionSetup> peers() {
    return List.copyOf(peers);
  }

  /** The one there is, or null if there are more, or none. */
  @Nullable ConnectionSetup only() {
    return peers.size() == 1 ? peers.get(0) : null;
  }

  /** True if the last one has ended, and the link with it. */
  boolean isOver() {
    return peers.isEmpty();
  }

  /** One has ended. */
  void remove(ConnectionSetup peer) {
    peers.remove(peer);
    if (peers.isEmpty()) {
      link.close();
    }
  }

  /**
   * Closes the link, and with it all that are on it: the peer takes answers in the order of its
   * handshakes, so one that gets none would take the next one's.
   */
  void close() {
    link.close();
  }
}
