package io.uccl.p2p.engine;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The connections to C++ engines, by the peers' addresses, and the attempts of which it is not
 * known yet what will answer. A C++ peer sends its notifications on a connection that it dials for
 * them, and does not say on it who it is: its address is all that there is to go by. Only the owner
 * of the transport uses it.
 */
final class ForeignPeers {

  private final Map<InetAddress, List<ConnectionSetup>> byAddress = new HashMap<>();

  void add(InetAddress address, ConnectionSetup setup) {
    byAddress.computeIfAbsent(address, none -> new ArrayList<>(1)).add(setup);
  }

  /** Forgets one; does nothing if it is not there. */
  void remove(InetAddress address, ConnectionSetup setup) {
    List<ConnectionSetup> there = byAddress.get(address);
    if (there != null && there.remove(setup) && there.isEmpty()) {
      byAddress.remove(address);
    }
  }

  boolean isAt(InetAddress address) {
    return byAddress.containsKey(address);
  }

  /** The one at an address; null if there is none, or more than one. */
  @Nullable ConnectionSetup onlyAt(InetAddress address) {
    List<ConnectionSetup> there = byAddress.get(address);
    return there == null || there.size() > 1 ? null : there.get(0);
  }
}
