package io.uccl.p2p.cli;

import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.spi.Availability;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What {@code doctor} found out.
 *
 * @param choice what an engine would use, or null if there is no choice
 * @param devices of RDMA and Slingshot, as the kernel names them
 * @param ignored variables that are set and have no meaning here
 * @param memory the native memory library
 * @param advertised where the engine listened in the trial, or null if there was none
 * @param trial the transfer between two engines, or null if there was no choice
 * @param problems one line each
 * @param exitCode of the command
 */
record Diagnosis(
    List<Found> transports,
    @Nullable TransportChoice choice,
    List<Interface> interfaces,
    List<String> devices,
    List<Value> settings,
    List<String> ignored,
    Availability memory,
    @Nullable String advertised,
    @Nullable Availability trial,
    List<String> problems,
    int exitCode) {

  /** A transport on the class path or module path. */
  record Found(String name, List<String> aliases, Availability availability) {}

  /** A network interface of this machine. */
  record Interface(String name, boolean up, boolean loopback, int mtu, List<String> addresses) {}

  /**
   * A variable that is read.
   *
   * @param reader {@code engine} or the transport's name
   * @param value as set, or empty
   */
  record Value(String name, String reader, String value, String defaultText, String meaning) {

    boolean isSet() {
      return !value.isEmpty();
    }
  }
}
