package io.uccl.p2p.cli;

import java.io.UncheckedIOException;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.Map;

/** Environments for two engines on one machine. */
final class Variables {

  static final String DISABLE_IPC = "UCCL_P2P_DISABLE_IPC";
  static final String CONTROL_PORT = "UCCL_P2P_CONTROL_PORT";
  static final String DATA_PORT = "UCCL_TCP_DATA_PORT";
  static final String INTERFACE = "UCCL_SOCKET_IFNAME";

  private Variables() {}

  /** Without IPC, and over loopback unless an interface is named. */
  static Map<String, String> onThisMachine(Map<String, String> environment) {
    Map<String, String> changed = new HashMap<>(environment);
    changed.put(DISABLE_IPC, "1");
    if (environment.getOrDefault(INTERFACE, "").isBlank()) {
      changed.put(INTERFACE, loopback());
    }
    return changed;
  }

  /** For the second engine on a machine: the ports that are set belong to the first. */
  static Map<String, String> withoutPorts(Map<String, String> environment) {
    Map<String, String> changed = new HashMap<>(environment);
    changed.remove(CONTROL_PORT);
    changed.remove(DATA_PORT);
    return changed;
  }

  private static String loopback() {
    try {
      Enumeration<NetworkInterface> all = NetworkInterface.getNetworkInterfaces();
      while (all.hasMoreElements()) {
        NetworkInterface candidate = all.nextElement();
        if (candidate.isLoopback()) {
          return candidate.getName();
        }
      }
    } catch (SocketException e) {
      throw new UncheckedIOException(e);
    }
    throw new ToolException(
        ExitCode.USAGE, "this machine has no loopback interface; set UCCL_SOCKET_IFNAME");
  }
}
