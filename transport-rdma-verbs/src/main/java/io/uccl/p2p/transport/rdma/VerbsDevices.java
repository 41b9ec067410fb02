package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportUnavailableException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * The RDMA devices of this machine, as the kernel lists them, and which of their ports are taken:
 * those of the devices that the environment names, else the {@linkplain NearestPorts nearest}.
 */
final class VerbsDevices {

  private static final String OTHER_TRANSPORT = "Use tcp: UCCL_P2P_TRANSPORT=tcp";

  private final KernelFiles kernel;

  VerbsDevices(KernelFiles kernel) {
    this.kernel = kernel;
  }

  /**
   * The ports to use: one of each device, and of one that is named twice, that one twice.
   *
   * @param gpuIndex the GPU that the engine works for; one that is not there is no mistake
   * @throws TransportUnavailableException if there is none
   */
  VerbsChoice choose(Map<String, String> environment, int gpuIndex) {
    List<String> there = names();
    List<String> named = VerbsSettings.DEVICES.in(environment);
    return named.isEmpty()
        ? nearest(there, environment, gpuIndex)
        : named(there, named, environment);
  }

  // -- named ones

  private VerbsChoice named(
      List<String> there, List<String> named, Map<String, String> environment) {
    OptionalInt wanted = VerbsSettings.GID_INDEX.in(environment);
    List<VerbsPort> ports = new ArrayList<>();
    List<String> idle = new ArrayList<>();
    for (String name : named) {
      if (!there.contains(name)) {
        throw unavailable(
            "UCCL_P2P_RDMA_DEV names " + name + ", but there are " + String.join(", ", there),
            name.chars().allMatch(Character::isDigit)
                ? "Devices go by name here, not by number: name one of those, or unset it"
                : "Name one of those, or unset it");
      }
      activePort(name, wanted).ifPresentOrElse(ports::add, () -> idle.add(name));
    }
    requireConnectable(ports, "Name others in UCCL_P2P_RDMA_DEV, or unset it");
    if (ports.isEmpty()) {
      throw noneActive(named);
    }
    int most = Math.min(ports.size(), VerbsSettings.NICS.in(environment));
    List<String> warnings = new ArrayList<>();
    if (!idle.isEmpty()) {
      warnings.add(
          "UCCL_P2P_RDMA_DEV names also "
              + String.join(", ", idle)
              + ", of which no port is active. "
              + VerbsRemedies.RAISE_PORT);
    }
    if (most < ports.size()) {
      warnings.add(
          "UCCL_P2P_RDMA_DEV names "
              + ports.size()
              + " devices, but UCCL_P2P_RDMA_NICS takes the first "
              + most
              + ". Raise or unset UCCL_P2P_RDMA_NICS");
    }
    return new VerbsChoice(
        List.copyOf(ports.subList(0, most)),
        "named by UCCL_P2P_RDMA_DEV",
        String.join("; ", warnings));
  }

  private static void requireConnectable(List<VerbsPort> ports, String remedy) {
    for (VerbsPort port : ports) {
      if (!port.isConnectable()) {
        throw unavailable(port.device() + " is neither InfiniBand nor RoCE", remedy);
      }
    }
  }

  // -- the nearest ones

  private VerbsChoice nearest(List<String> there, Map<String, String> environment, int gpuIndex) {
    OptionalInt wanted = VerbsSettings.GID_INDEX.in(environment);
    List<VerbsPort> active =
        there.stream().flatMap(name -> activePort(name, wanted).stream()).toList();
    if (active.isEmpty()) {
      throw noneActive(there);
    }
    List<VerbsPort> connectable = active.stream().filter(VerbsPort::isConnectable).toList();
    if (connectable.isEmpty()) {
      requireConnectable(active, OTHER_TRANSPORT);
    }
    List<VerbsPort> usable = connectable.stream().filter(port -> port.isReachable(wanted)).toList();
    if (usable.isEmpty()) {
      // Who opens it tells which address it lacks.
      return new VerbsChoice(List.of(connectable.get(0)), "the first by name", "");
    }
    if (usable.size() == 1) {
      return new VerbsChoice(
          usable, there.size() == 1 ? "the only one" : "the only one that is ready", "");
    }
    return new NearestPorts(
            new VerbsLocality(kernel, environment, gpuIndex),
            new ConnectedNetworks(kernel),
            wanted,
            VerbsSettings.NICS.in(environment))
        .choose(usable);
  }

  // -- what there is

  private List<String> names() {
    Path folder = kernel.rdmaDevices();
    List<String> names;
    try {
      names = KernelFiles.list(folder);
    } catch (NoSuchFileException e) {
      throw unavailable("no RDMA device: there is no " + folder, OTHER_TRANSPORT);
    } catch (IOException | UncheckedIOException e) {
      throw unavailable("RDMA devices unknown: " + folder + " cannot be read", OTHER_TRANSPORT);
    }
    if (names.isEmpty()) {
      throw unavailable("no RDMA device in " + folder, OTHER_TRANSPORT);
    }
    return names;
  }

  /** Of several the first that can be reached. A device that went away meanwhile has none. */
  private Optional<VerbsPort> activePort(String device, OptionalInt wanted) {
    Path ports = kernel.rdmaDevices().resolve(device).resolve("ports");
    return KernelFiles.namesIn(ports).stream()
        .filter(name -> name.matches("[1-9][0-9]{0,2}"))
        .map(Integer::valueOf)
        .sorted()
        .map(number -> new VerbsPort(device, number, ports.resolve(number.toString())))
        .filter(VerbsPort::isActive)
        .min(Comparator.comparing(port -> !port.isReachable(wanted)));
  }

  private static TransportUnavailableException noneActive(List<String> devices) {
    return unavailable(
        "no port of " + String.join(", ", devices) + " is active", VerbsRemedies.RAISE_PORT);
  }

  private static TransportUnavailableException unavailable(String why, String remedy) {
    return new TransportUnavailableException(
        why, FailureDetail.remedy(remedy).withTransport("rdma"));
  }
}
