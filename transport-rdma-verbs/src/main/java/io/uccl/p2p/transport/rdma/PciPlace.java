package io.uccl.p2p.transport.rdma;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.StreamSupport;

/**
 * Where a device is plugged in: {@code pci0000:00/0000:00:01.0/0000:01:00.0} in the kernel's tree
 * of devices.
 *
 * @param path the host bridge, the bridges below it, and the device; empty if it is on no PCI bus
 * @param numaNode -1 if the kernel does not know
 */
record PciPlace(List<String> path, int numaNode) {

  private static final Pattern HOST_BRIDGE = Pattern.compile("pci[0-9a-f]{4,}:[0-9a-f]{2}");
  private static final Pattern DEVICE =
      Pattern.compile("[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]");
  private static final Pattern NODE = Pattern.compile("[0-9]{1,6}");

  /** What two devices have in common, from the nearest to the farthest. */
  enum Shared {
    SWITCH,
    HOST_BRIDGE,
    NUMA_NODE,
    NOTHING
  }

  /**
   * How far it is from one device to another.
   *
   * @param bridges between the two, below the switch that they share; 0 if they share none, because
   *     then all goes through the processor
   */
  record Distance(Shared shared, int bridges) implements Comparable<Distance> {

    private static final Comparator<Distance> ORDER =
        Comparator.comparing(Distance::shared).thenComparingInt(Distance::bridges);

    @Override
    public int compareTo(Distance other) {
      return ORDER.compare(this, other);
    }
  }

  /** Of a device by its folder, or a link to it. */
  static PciPlace of(Path device) {
    Path real;
    try {
      real = device.toRealPath();
    } catch (IOException e) {
      // A device in software has no folder.
      return new PciPlace(List.of(), -1);
    }
    List<String> path =
        StreamSupport.stream(real.spliterator(), false)
            .map(Path::toString)
            .filter(name -> isAny(name, HOST_BRIDGE, DEVICE))
            .toList();
    String node = KernelFiles.read(real.resolve("numa_node"));
    return new PciPlace(path, NODE.matcher(node).matches() ? Integer.parseInt(node) : -1);
  }

  private static boolean isAny(String name, Pattern one, Pattern other) {
    return one.matcher(name).matches() || other.matcher(name).matches();
  }

  boolean isOnBus() {
    return !path.isEmpty();
  }

  Distance to(PciPlace other) {
    int common = 0;
    int shorter = Math.min(path.size(), other.path.size());
    while (common < shorter && path.get(common).equals(other.path.get(common))) {
      common++;
    }
    if (common > 1) {
      return new Distance(Shared.SWITCH, path.size() + other.path.size() - 2 * common);
    }
    if (common == 1) {
      return new Distance(Shared.HOST_BRIDGE, 0);
    }
    boolean sameNode = numaNode >= 0 && numaNode == other.numaNode;
    return new Distance(sameNode ? Shared.NUMA_NODE : Shared.NOTHING, 0);
  }
}
