package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.transport.rdma.PciPlace.Distance;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Chooses among ports that could all be used, each of another device: the nearest. Of several that
 * are equally near, the fastest is taken, and with it only its like: of the same kind and in the
 * same network, so that each reaches what the others reach.
 */
final class NearestPorts {

  private final VerbsLocality locality;
  private final ConnectedNetworks connected;
  private final OptionalInt address;
  private final int most;

  /**
   * Tells by what to choose.
   *
   * @param address index of the ports' addresses, if it is asked for
   * @param most ports
   */
  NearestPorts(VerbsLocality locality, ConnectedNetworks connected, OptionalInt address, int most) {
    this.locality = locality;
    this.connected = connected;
    this.address = address;
    this.most = most;
  }

  /**
   * Those to take.
   *
   * @param usable 1 and more, by name
   */
  VerbsChoice choose(List<VerbsPort> usable) {
    // Devices in software are there for machines that have no others.
    List<VerbsPort> hardware = usable.stream().filter(port -> port.place().isOnBus()).toList();
    List<VerbsPort> all = hardware.isEmpty() ? usable : hardware;
    List<VerbsPort> near = nearest(all);
    VerbsPort best = Collections.max(near, Comparator.comparingDouble(VerbsPort::rate));
    List<VerbsPort> alike = new ArrayList<>();
    StringBuilder others = new StringBuilder();
    for (VerbsPort port : near) {
      String difference = difference(best, port);
      if (difference.isEmpty()) {
        alike.add(port);
      } else {
        others.append("; not ").append(port.device()).append(", ").append(difference);
      }
    }
    List<VerbsPort> taken = share(alike);
    return new VerbsChoice(taken, reason(all, near, taken) + others, "");
  }

  private List<VerbsPort> nearest(List<VerbsPort> ports) {
    List<Distance> distances = ports.stream().map(port -> locality.to(port.place())).toList();
    Distance least = Collections.min(distances);
    List<VerbsPort> nearest = new ArrayList<>();
    for (int i = 0; i < ports.size(); i++) {
      if (distances.get(i).equals(least)) {
        nearest.add(ports.get(i));
      }
    }
    return nearest;
  }

  /** Why a port is not used together with the best one; empty if it can be. */
  private String difference(VerbsPort best, VerbsPort port) {
    if (port.equals(best)) {
      return "";
    }
    if (!port.kind().equals(best.kind())) {
      return "which is of another kind";
    }
    Optional<String> network = best.network(connected, address);
    return network.isPresent() && network.equals(port.network(connected, address))
        ? ""
        : "which is not known to be in the same network";
  }

  /** Where there are more than are taken, each GPU begins at another. */
  private List<VerbsPort> share(List<VerbsPort> alike) {
    if (alike.size() <= most) {
      return List.copyOf(alike);
    }
    List<VerbsPort> taken = new ArrayList<>();
    for (int i = 0; i < most; i++) {
      taken.add(alike.get((locality.turn() % alike.size() + i) % alike.size()));
    }
    return List.copyOf(taken);
  }

  private String reason(List<VerbsPort> all, List<VerbsPort> near, List<VerbsPort> taken) {
    if (near.size() < all.size()) {
      return locality.reason();
    }
    if (near.size() == 1) {
      return "the only one in hardware";
    }
    return taken.size() == near.size()
        ? "all are equally near"
        : taken.size() + " of " + near.size() + " that are equally near";
  }
}
