package io.uccl.p2p.cli;

import io.uccl.p2p.spi.EngineProvider;
import io.uccl.p2p.spi.Setting;
import java.io.UncheckedIOException;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Environments for two engines on one machine. */
final class Variables {

  static final String DISABLE_IPC = "UCCL_P2P_DISABLE_IPC";
  static final String CONTROL_PORT = "UCCL_P2P_CONTROL_PORT";
  static final String DATA_PORT = "UCCL_TCP_DATA_PORT";
  static final String INTERFACE = "UCCL_SOCKET_IFNAME";

  /** The launcher's: folder of the simulated cxi provider. */
  static final String SIMULATED_CXI = "P2P_SIMULATED_CXI";

  private static final List<String> OUR_PREFIXES = List.of("UCCL_P2P_", "UCCL_CXI_", "UCCL_TCP_");

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

  /**
   * What the launcher says of the simulated fabric that it has built.
   *
   * @throws ToolException if it has built none
   */
  static void requireSimulatedCxi(Map<String, String> environment) {
    if (environment.getOrDefault(SIMULATED_CXI, "").isEmpty()) {
      throw ToolException.usage(
          "--simulate-cxi: there is no simulated fabric, because "
              + SIMULATED_CXI
              + " is not set; start the tool with ./p2p bench, which builds one");
    }
  }

  /**
   * For the second engine on a machine. The ports that are set belong to the first; and what has no
   * effect, the first has warned about.
   */
  static Map<String, String> ofTheSecond(Map<String, String> environment) {
    Map<String, String> changed = new HashMap<>(environment);
    changed.remove(CONTROL_PORT);
    changed.remove(DATA_PORT);
    Set<String> declared = declared();
    changed.keySet().removeIf(name -> isIgnored(name, declared));
    return changed;
  }

  /** Whether a variable is one of the project's that nobody here reads. */
  static boolean isIgnored(String name, Set<String> declared) {
    return OUR_PREFIXES.stream().anyMatch(name::startsWith) && !declared.contains(name);
  }

  private static Set<String> declared() {
    Stream<Setting<?>> settings =
        Stream.concat(
            EngineProvider.load().settings().stream(),
            TransportProviders.load().found().stream()
                .flatMap(provider -> provider.settings().stream()));
    return settings.map(Setting::name).collect(Collectors.toSet());
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
