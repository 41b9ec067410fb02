package io.uccl.p2p.transport.rdma;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A folder like the kernel's root, with the devices, processors and networks that a test wants.
 *
 * @param root what {@code /} stands for
 */
record SysfsFolder(Path root) {

  static final String CHANNEL_ADAPTER = "1: CA";
  static final String IWARP = "4: RNIC";

  static SysfsFolder of(Path root) {
    return new SysfsFolder(root);
  }

  KernelFiles files() {
    return new KernelFiles(root);
  }

  Path rdmaDevices() {
    return files().rdmaDevices();
  }

  /** The kernel knows of RDMA, and there is no device. */
  SysfsFolder withoutDevices() {
    make(rdmaDevices());
    return this;
  }

  /** Makes a port; {@code state} and {@code linkLayer} as the kernel writes them. */
  SysfsFolder port(String device, int number, String state, String linkLayer) {
    write(portFile(device, number, "state"), state);
    write(portFile(device, number, "link_layer"), linkLayer);
    return nodeType(device, CHANNEL_ADAPTER).rate(device, number, "100 Gb/sec (4X EDR)");
  }

  SysfsFolder nodeType(String device, String type) {
    write(rdmaDevices().resolve(device).resolve("node_type"), type);
    return this;
  }

  SysfsFolder rate(String device, int number, String rate) {
    write(portFile(device, number, "rate"), rate);
    return this;
  }

  /** Gives a port an address of a type, such as {@code RoCE v2}. */
  SysfsFolder address(String device, int number, int index, String address, String type) {
    write(portFile(device, number, "gids/" + index), address);
    write(portFile(device, number, "gid_attrs/types/" + index), type);
    return this;
  }

  /** An active port on InfiniBand, in the subnet of a manager. */
  SysfsFolder infiniband(String device, String managersLid) {
    port(device, 1, "4: ACTIVE", "InfiniBand");
    address(device, 1, 0, "fe80:0000:0000:0000:0000:0000:0000:0001", "IB/RoCE v1");
    write(portFile(device, 1, "sm_lid"), managersLid);
    return this;
  }

  /** An active port on Ethernet with an IPv4 address. */
  SysfsFolder roce(String device, int... ipv4) {
    port(device, 1, "4: ACTIVE", "Ethernet");
    String address = "%02x%02x:%02x%02x".formatted(ipv4[0], ipv4[1], ipv4[2], ipv4[3]);
    return address(device, 1, 0, "0000:0000:0000:0000:0000:ffff:" + address, "RoCE v2");
  }

  /** The network interface of a port's address. */
  SysfsFolder networkInterface(String device, int number, int index, String name, String carrier) {
    write(portFile(device, number, "gid_attrs/ndevs/" + index), name);
    write(root.resolve("sys/class/net").resolve(name).resolve("carrier"), carrier);
    return this;
  }

  /**
   * Plugs a device in.
   *
   * @param path from its host bridge down, as in {@code pci0000:00/0000:00:01.0}
   * @param model its number, such as {@code 0x1021}
   */
  SysfsFolder plug(String device, String path, int numaNode, String model) {
    Path folder = pciDevice(path, numaNode);
    write(folder.resolve("vendor"), "0x15b3");
    write(folder.resolve("device"), model);
    link(rdmaDevices().resolve(device).resolve("device"), folder);
    return this;
  }

  /** A GPU of NVIDIA on a bus, with or without a driver. */
  SysfsFolder gpu(String path, int numaNode) {
    Path folder = pciDevice(path, numaNode);
    write(folder.resolve("vendor"), "0x10de");
    return deviceClass(path, "0x030200");
  }

  /** What a device on a bus says that it is. */
  SysfsFolder deviceClass(String path, String number) {
    write(root.resolve("sys/devices").resolve(path).resolve("class"), number);
    return this;
  }

  /** NVIDIA's driver lists a GPU. */
  SysfsFolder driverHas(String busId, String uuid) {
    write(
        files().nvidiaGpus().resolve(busId).resolve("information"),
        "Model: \t\t NVIDIA H200\nGPU UUID: \t " + uuid);
    return this;
  }

  /** A NUMA node; {@code processors} as the kernel writes them: {@code 0-3,8}. */
  SysfsFolder node(int number, String processors) {
    write(files().numaNodes().resolve("node" + number).resolve("cpulist"), processors);
    return this;
  }

  /** What the process may use. */
  SysfsFolder process(String processors, String nodes) {
    write(
        files().status(),
        "Name:\tjava\nCpus_allowed_list:\t" + processors + "\nMems_allowed_list:\t" + nodes);
    return this;
  }

  /** Routes; each as the kernel writes destination, gateway and mask, with spaces between. */
  SysfsFolder routes(String... routes) {
    StringBuilder text =
        new StringBuilder("Iface Destination Gateway Flags RefCnt Use Metric Mask");
    for (String route : routes) {
      String[] fields = route.split(" ", -1);
      text.append("\neth0\t" + fields[0] + "\t" + fields[1] + "\t0001\t0\t0\t0\t" + fields[2]);
      text.append("\t0\t0\t0");
    }
    write(files().routes(), text.toString());
    return this;
  }

  private Path portFile(String device, int number, String name) {
    return rdmaDevices().resolve(device + "/ports/" + number + "/" + name);
  }

  private Path pciDevice(String path, int numaNode) {
    Path folder = root.resolve("sys/devices").resolve(path);
    write(folder.resolve("numa_node"), Integer.toString(numaNode));
    link(files().pciDevices().resolve(folder.getFileName()), folder);
    return folder;
  }

  private static void link(Path link, Path target) {
    make(link.resolveSibling("."));
    try {
      Files.createSymbolicLink(link, target);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void write(Path file, String text) {
    make(file.resolveSibling("."));
    try {
      Files.writeString(file, text + "\n");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void make(Path folder) {
    try {
      Files.createDirectories(folder.normalize());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
