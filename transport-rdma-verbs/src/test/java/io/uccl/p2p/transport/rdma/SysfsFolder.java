package io.uccl.p2p.transport.rdma;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A folder like the kernel's {@code /sys/class/infiniband}, with devices as tests want them. */
record SysfsFolder(Path folder) {

  static SysfsFolder of(Path folder) {
    return new SysfsFolder(folder);
  }

  /** Makes a port; {@code state} and {@code linkLayer} as the kernel writes them. */
  SysfsFolder port(String device, int number, String state, String linkLayer) {
    write(device, number, "state", state);
    write(device, number, "link_layer", linkLayer);
    return this;
  }

  /** Gives a port an address of a type, such as {@code RoCE v2}. */
  SysfsFolder address(String device, int number, int index, String address, String type) {
    write(device, number, "gids/" + index, address);
    write(device, number, "gid_attrs/types/" + index, type);
    return this;
  }

  private void write(String device, int number, String name, String text) {
    Path file = folder.resolve(device + "/ports/" + number + "/" + name);
    try {
      Files.createDirectories(file.getParent());
      Files.writeString(file, text + "\n");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
