package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportUnavailableException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The RDMA devices of this machine, as the kernel lists them, and which port is taken. */
final class VerbsDevices {

  static final Path KERNELS = Path.of("/sys/class/infiniband");

  private static final String OTHER_TRANSPORT = "Use tcp: UCCL_P2P_TRANSPORT=tcp";

  private final Path folder;

  /** Of a folder like {@link #KERNELS}. */
  VerbsDevices(Path folder) {
    this.folder = folder;
  }

  /**
   * The port to use: the first active one, of the devices that the environment names in their
   * order, else of all by name.
   *
   * @throws TransportUnavailableException if there is none
   */
  VerbsPort choose(Map<String, String> environment) {
    List<String> there = names();
    List<String> named = VerbsSettings.DEVICES.in(environment);
    for (String name : named) {
      if (!there.contains(name)) {
        throw unavailable(
            "UCCL_P2P_RDMA_DEV names " + name + ", but there are " + String.join(", ", there),
            "Name one of those, or unset it");
      }
    }
    List<String> candidates = named.isEmpty() ? there : named;
    return candidates.stream()
        .flatMap(this::ports)
        .filter(VerbsPort::isActive)
        .findFirst()
        .orElseThrow(
            () ->
                unavailable(
                    "no port of " + String.join(", ", candidates) + " is active",
                    "See what rdma link shows: plug the cable in, bring the interface up, or have"
                        + " the subnet manager started"));
  }

  private List<String> names() {
    List<String> names;
    try {
      names = list(folder);
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

  private Stream<VerbsPort> ports(String device) {
    Path ports = folder.resolve(device).resolve("ports");
    try {
      return list(ports).stream()
          .filter(name -> name.matches("[1-9][0-9]{0,2}"))
          .map(Integer::valueOf)
          .sorted()
          .map(number -> new VerbsPort(device, number, ports.resolve(number.toString())));
    } catch (IOException | UncheckedIOException e) {
      // A device that went away meanwhile has none.
      return Stream.empty();
    }
  }

  private static List<String> list(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries
          .map(entry -> String.valueOf(entry.getFileName()))
          .sorted(Comparator.naturalOrder())
          .toList();
    }
  }

  private static TransportUnavailableException unavailable(String why, String remedy) {
    return new TransportUnavailableException(
        why, FailureDetail.remedy(remedy).withTransport("rdma"));
  }
}
