package io.uccl.p2p.transport.rdma;

import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Whether the link of a port is down. The network interface of a RoCE port knows it first: it sends
 * nothing more, and operations fail, before the RDMA device has heard of it.
 *
 * @param networkInterface where the kernel tells of it; null: there is none, or none to be seen
 */
record VerbsLink(VerbsPort port, @Nullable Path networkInterface) {

  /** The link that an address of the port is reached over. */
  static VerbsLink of(VerbsPort port, int address) {
    Path folder = port.networkInterface(address);
    return new VerbsLink(port, folder != null && Files.isDirectory(folder) ? folder : null);
  }

  boolean isDown() {
    // Of the port the kernel may have to ask the device, which may be what is ailing.
    return (networkInterface != null && !hasCarrier(networkInterface)) || !port.isActive();
  }

  /** Of an interface that was taken down, or removed, it cannot be read. */
  private static boolean hasCarrier(Path networkInterface) {
    return KernelFiles.read(networkInterface.resolve("carrier")).equals("1");
  }
}
