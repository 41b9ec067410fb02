package io.uccl.p2p.engine;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportException;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The address that an engine puts into its metadata, and the only one that anything of it binds to.
 *
 * <p><b>{@code UCCL_SOCKET_IFNAME} unset:</b> the first interface by index that is up, is not
 * loopback and has an IPv4 address; if there is none, one with a global IPv6 address; else
 * loopback.
 *
 * <p><b>Set:</b> what the C++ engine and NCCL understand by it, so that job scripts serve all: a
 * comma-separated list of beginnings of names ({@code eth,ib0}); behind {@code ^}, what is not
 * wanted ({@code ^docker,lo}); behind {@code =}, whole names ({@code =eth1} is not {@code eth10});
 * {@code ^=} both. What follows a colon in a name is a port, and means nothing here. Where several
 * interfaces match, one whose whole name is in the list comes first, then those that are not
 * loopback, then the lower index. No match is an error, never another interface.
 *
 * <p>Link-local IPv6 addresses are passed over: the metadata has no room for the interface without
 * which they mean nothing.
 *
 * @param address to advertise and to bind to; IPv6 without a scope
 * @param interfaceName the interface that has it
 * @param loopback true if only processes on this machine can reach it
 * @param reason why this one; one sentence without its full stop
 */
record LocalAddress(InetAddress address, String interfaceName, boolean loopback, String reason) {

  private static final byte[] IPV4_LOOPBACK = {127, 0, 0, 1};

  /** By index, which is the order in which the kernel got to know them. */
  private static final Comparator<Interface> BY_INDEX =
      Comparator.comparingInt(Interface::index).thenComparing(Interface::name);

  /**
   * An interface of this machine, as far as the choice looks at it.
   *
   * @param name such as {@code eth0}
   * @param index the kernel's
   * @param up whether it is up
   * @param loopback whether it is a loopback interface
   * @param addresses all that it has
   */
  record Interface(
      String name, int index, boolean up, boolean loopback, List<InetAddress> addresses) {

    /** Copies the list. */
    Interface {
      addresses = List.copyOf(addresses);
    }

    /** IPv4 if it has one, else IPv6, else empty. */
    private Optional<InetAddress> usable() {
      return ipv4().or(this::ipv6);
    }

    private Optional<InetAddress> ipv4() {
      return addresses.stream()
          .filter(address -> address instanceof Inet4Address && !address.isAnyLocalAddress())
          .findFirst();
    }

    private Optional<InetAddress> ipv6() {
      return addresses.stream()
          .filter(
              address ->
                  !(address instanceof Inet4Address)
                      && !address.isAnyLocalAddress()
                      && !address.isLinkLocalAddress())
          .findFirst();
    }
  }

  /**
   * Chooses among the interfaces of this machine.
   *
   * @throws ConfigurationException if {@code UCCL_SOCKET_IFNAME} matches none that can be used
   * @throws TransportException if the interfaces cannot be read
   */
  static LocalAddress choose(Map<String, String> environment) {
    return choose(environment, interfaces());
  }

  /** The same among given interfaces. */
  static LocalAddress choose(Map<String, String> environment, List<Interface> interfaces) {
    List<Interface> ordered = interfaces.stream().sorted(BY_INDEX).toList();
    String wanted = EngineSettings.SOCKET_IFNAME.in(environment);
    return wanted.isEmpty() ? first(ordered) : named(wanted, ordered);
  }

  private static LocalAddress first(List<Interface> ordered) {
    List<Interface> network = ordered.stream().filter(i -> i.up() && !i.loopback()).toList();
    for (Interface candidate : network) {
      Optional<InetAddress> address = candidate.ipv4();
      if (address.isPresent()) {
        return of(
            candidate,
            address.orElseThrow(),
            "the first interface that is up, is not loopback and has an IPv4 address");
      }
    }
    for (Interface candidate : network) {
      Optional<InetAddress> address = candidate.ipv6();
      if (address.isPresent()) {
        return of(
            candidate,
            address.orElseThrow(),
            "the first interface that is up, is not loopback and has a global address; none has"
                + " IPv4");
      }
    }
    String name =
        ordered.stream().filter(Interface::loopback).map(Interface::name).findFirst().orElse("lo");
    return new LocalAddress(
        address(IPV4_LOOPBACK),
        name,
        true,
        "no interface but loopback is up and has an address: only this machine can reach it");
  }

  private static LocalAddress named(String wanted, List<Interface> ordered) {
    Pattern pattern = Pattern.parse(wanted);
    List<Interface> matching =
        ordered.stream()
            .filter(candidate -> pattern.matches(candidate.name()))
            .sorted(
                Comparator.comparing((Interface candidate) -> !pattern.names(candidate.name()))
                    .thenComparing(Interface::loopback)
                    .thenComparing(BY_INDEX))
            .toList();
    for (Interface candidate : matching) {
      Optional<InetAddress> address = candidate.usable();
      if (candidate.up() && address.isPresent()) {
        return of(
            candidate, address.orElseThrow(), EngineSettings.SOCKET_IFNAME.name() + "=" + wanted);
      }
    }
    String why =
        matching.isEmpty()
            ? "matches no interface of this machine"
            : "cannot be used: "
                + matching.stream()
                    .map(i -> i.name() + (i.up() ? " has no usable address" : " is down"))
                    .collect(Collectors.joining(", "));
    throw new ConfigurationException(
        EngineSettings.SOCKET_IFNAME.name() + "='" + OneLine.of(wanted) + "' " + why,
        FailureDetail.remedy("Name one of these, or unset it: " + usable(ordered)));
  }

  private static String usable(List<Interface> ordered) {
    List<String> usable = new ArrayList<>();
    for (Interface candidate : ordered) {
      Optional<InetAddress> address = candidate.usable();
      if (candidate.up() && address.isPresent()) {
        usable.add(candidate.name() + " (" + address.orElseThrow().getHostAddress() + ")");
      }
    }
    return usable.isEmpty() ? "none is up and has an address" : String.join(", ", usable);
  }

  private static LocalAddress of(Interface from, InetAddress address, String reason) {
    return new LocalAddress(
        address(address.getAddress()),
        from.name(),
        from.loopback() || address.isLoopbackAddress(),
        reason);
  }

  /** From bytes, so that an IPv6 address loses its scope. */
  private static InetAddress address(byte[] bytes) {
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException("neither 4 nor 16 bytes: " + bytes.length, e);
    }
  }

  private static List<Interface> interfaces() {
    try {
      return NetworkInterface.networkInterfaces().flatMap(each -> read(each).stream()).toList();
    } catch (IOException e) {
      throw new TransportException(
          "the network interfaces of this machine cannot be read: " + OneLine.of(e),
          FailureDetail.remedy("Bring up an interface; loopback is enough for one machine"),
          e);
    }
  }

  /** Empty if it was removed in the meantime, as containers' interfaces are all the time. */
  private static Optional<Interface> read(NetworkInterface each) {
    try {
      return Optional.of(
          new Interface(
              each.getName(),
              each.getIndex(),
              each.isUp(),
              each.isLoopback(),
              each.inetAddresses().toList()));
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /**
   * What {@code UCCL_SOCKET_IFNAME} holds.
   *
   * @param not whether the list says what is not wanted
   * @param exact whether its elements are whole names
   * @param names its elements
   */
  private record Pattern(boolean not, boolean exact, List<String> names) {

    static Pattern parse(String text) {
      boolean not = text.startsWith("^");
      String rest = not ? text.substring(1) : text;
      boolean exact = rest.startsWith("=");
      rest = exact ? rest.substring(1) : rest;
      List<String> names =
          Arrays.stream(rest.split(",", -1))
              .map(String::trim)
              .map(name -> name.contains(":") ? name.substring(0, name.indexOf(':')) : name)
              .filter(name -> !name.isEmpty())
              .toList();
      if (names.isEmpty()) {
        throw new ConfigurationException(
            EngineSettings.SOCKET_IFNAME.name() + "='" + OneLine.of(text) + "' names no interface",
            FailureDetail.remedy("Correct or unset " + EngineSettings.SOCKET_IFNAME.name()));
      }
      return new Pattern(not, exact, names);
    }

    boolean matches(String name) {
      boolean listed = exact ? names.contains(name) : names.stream().anyMatch(name::startsWith);
      return listed != not;
    }

    /** Whether the whole name is wanted in so many words. */
    boolean names(String name) {
      return !not && names.contains(name);
    }
  }
}
