package io.uccl.p2p.cli;

import java.io.IOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** What this machine has of networks. */
final class Machine {

  private static final List<String> DEVICE_CLASSES = List.of("cxi", "infiniband");

  private Machine() {}

  static List<Diagnosis.Interface> interfaces() throws SocketException {
    List<Diagnosis.Interface> found = new ArrayList<>();
    for (NetworkInterface each : Collections.list(NetworkInterface.getNetworkInterfaces())) {
      List<String> addresses =
          Collections.list(each.getInetAddresses()).stream()
              .map(InetAddress::getHostAddress)
              .toList();
      found.add(
          new Diagnosis.Interface(
              each.getName(), each.isUp(), each.isLoopback(), each.getMTU(), addresses));
    }
    return found;
  }

  /** Devices as {@code class/name}, such as {@code infiniband/mlx5_0}. */
  static List<String> devices(Path classes) throws IOException {
    List<String> found = new ArrayList<>();
    for (String each : DEVICE_CLASSES) {
      Path folder = classes.resolve(each);
      if (Files.isDirectory(folder)) {
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(folder)) {
          entries.forEach(entry -> found.add(each + "/" + entry.getFileName()));
        }
      }
    }
    Collections.sort(found);
    return found;
  }
}
