package io.uccl.p2p.transport.rdma;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Where the kernel tells of devices, processors and networks in files; tests have a folder of their
 * own in its place.
 *
 * @param root what {@code /} stands for
 */
record KernelFiles(Path root) {

  /** The kernel's own. */
  static final KernelFiles LIVE = new KernelFiles(Path.of("/"));

  /** A folder for each RDMA device. */
  Path rdmaDevices() {
    return root.resolve("sys/class/infiniband");
  }

  /** A folder for each device on a PCI bus, by its bus id. */
  Path pciDevices() {
    return root.resolve("sys/bus/pci/devices");
  }

  /** A folder for each GPU of NVIDIA's driver, by its bus id; in a container only for its own. */
  Path nvidiaGpus() {
    return root.resolve("proc/driver/nvidia/gpus");
  }

  /** A folder for each NUMA node. */
  Path numaNodes() {
    return root.resolve("sys/devices/system/node");
  }

  /** What this process may use. */
  Path status() {
    return root.resolve("proc/self/status");
  }

  /** The IPv4 routes of this process's network namespace. */
  Path routes() {
    return root.resolve("proc/self/net/route");
  }

  /** What a file says, without space around it; empty if it cannot be read. */
  static String read(Path file) {
    try {
      return Files.readString(file).strip();
    } catch (IOException e) {
      return "";
    }
  }

  /** The names in a folder, sorted; none if it cannot be read. */
  static List<String> namesIn(Path folder) {
    try {
      return list(folder);
    } catch (IOException | UncheckedIOException e) {
      return List.of();
    }
  }

  /**
   * The names in a folder, sorted.
   *
   * @throws IOException or an UncheckedIOException if it cannot be read
   */
  static List<String> list(Path folder) throws IOException {
    try (Stream<Path> entries = Files.list(folder)) {
      return entries.map(entry -> String.valueOf(entry.getFileName())).sorted().toList();
    }
  }
}
