package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.nativelib.OffHeap;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/** What a NIC is opened with; {@code p2p_verbs.h} draws it as {@code struct p2p_verbs_opening}. */
final class VerbsOpening {

  private static final int LIBRARY = 0;
  private static final int DEVICE = 512;
  private static final int PORT = 576;
  private static final int GID_INDEX = 580;
  private static final int COMPLETION_DEPTH = 584;
  private static final int BYTES = 592;

  private static final String DEFAULT_LIBRARY = "libibverbs.so.1";

  /** The first address of an InfiniBand port is always there. */
  private static final int FIRST_ADDRESS = 0;

  /** The C++ engine's; on InfiniBand a fabric may map others to no lane. */
  private static final int ETHERNET_SERVICE_LEVEL = 3;

  private static final int INFINIBAND_SERVICE_LEVEL = 0;

  /** As many as cxi's; work requests on all queue pairs of the NIC together. */
  private static final int WANTED_COMPLETION_DEPTH = 8192;

  private static final int MOST_DEVICES = 256;
  private static final int NAME_BYTES = 64;

  private final OffHeap bytes = new OffHeap(BYTES);
  private final VerbsPort port;
  private final VerbsLink link;
  private final int address;
  private final boolean isAddressWanted;
  private final int serviceLevel;
  private final int trafficClass;
  private final int readsStarted;
  private final int readsServed;

  /**
   * Fills in what the environment says.
   *
   * @throws ConfigurationException if a value is too long
   * @throws TransportUnavailableException if the port has not the address that it needs
   */
  VerbsOpening(Map<String, String> environment, VerbsPort port) {
    this.port = port;
    this.address = address(environment, port);
    this.link = VerbsLink.of(port, address);
    this.isAddressWanted = VerbsSettings.GID_INDEX.in(environment).isPresent();
    this.serviceLevel =
        VerbsSettings.SERVICE_LEVEL
            .in(environment)
            .orElse(port.isEthernet() ? ETHERNET_SERVICE_LEVEL : INFINIBAND_SERVICE_LEVEL);
    this.trafficClass = VerbsSettings.TRAFFIC_CLASS.in(environment);
    this.readsStarted = VerbsSettings.MAX_RD_ATOMIC.in(environment);
    this.readsServed = VerbsSettings.MAX_DEST_RD_ATOMIC.in(environment);
    String library = VerbsSettings.LIBIBVERBS.in(environment);
    put(LIBRARY, DEVICE, "UCCL_IBV_SO", library.isEmpty() ? DEFAULT_LIBRARY : library);
    put(DEVICE, PORT, "UCCL_P2P_RDMA_DEV", port.device());
    bytes.putInt(PORT, port.number());
    bytes.putInt(GID_INDEX, address);
    bytes.putInt(COMPLETION_DEPTH, WANTED_COMPLETION_DEPTH);
  }

  private void put(int offset, int end, String variable, String value) {
    if (!bytes.putText(offset, end - offset, value)) {
      throw new ConfigurationException(
          variable + " is longer than " + (end - offset - 1) + " bytes: " + value,
          FailureDetail.remedy("Give a shorter one"));
    }
  }

  private static int address(Map<String, String> environment, VerbsPort port) {
    OptionalInt wanted = VerbsSettings.GID_INDEX.in(environment);
    if (wanted.isPresent() && !port.hasAddress(wanted.getAsInt())) {
      throw new TransportUnavailableException(
          port + " has no address at index " + wanted.getAsInt(),
          FailureDetail.remedy(
                  "See ports/N/gids in /sys/class/infiniband; correct or unset UCCL_P2P_RDMA_GID_INDEX")
              .withTransport("rdma"));
    }
    if (wanted.isPresent()) {
      return wanted.getAsInt();
    }
    return port.isEthernet()
        ? port.preferredAddress()
            .orElseThrow(
                () ->
                    new TransportUnavailableException(
                        port + " has no address",
                        FailureDetail.remedy("Give its network interface an IPv4 address")
                            .withTransport("rdma")))
        : FIRST_ADDRESS;
  }

  /**
   * The devices that libibverbs has drivers for.
   *
   * @throws TransportUnavailableException if there is no libibverbs, or none that works
   */
  List<String> libraryDevices() {
    OffHeap names = new OffHeap(MOST_DEVICES * NAME_BYTES);
    VerbsReport report = new VerbsReport();
    long count =
        VerbsShim.devices(bytes.address(), names.address(), MOST_DEVICES, report.address());
    if (count < 0) {
      throw new TransportUnavailableException(
          "libibverbs lists no devices: " + report.text(),
          report.detail(VerbsRemedies.ofOpening(report)));
    }
    List<String> devices = new ArrayList<>();
    for (int i = 0; i < Math.min(count, MOST_DEVICES); i++) {
      devices.add(names.getText(i * NAME_BYTES, NAME_BYTES));
    }
    return devices;
  }

  long bytesAddress() {
    return bytes.address();
  }

  VerbsPort port() {
    return port;
  }

  VerbsLink link() {
    return link;
  }

  /**
   * Whether peers are reached by address; on InfiniBand by LID, unless an address is asked for, or
   * the port needs it.
   */
  boolean isByAddress() {
    return port.isEthernet() || isAddressWanted;
  }

  /** Whether the address is RoCE v2's, which RoCE v1 does not reach. */
  boolean isRoutable() {
    return port.isRoutable(address);
  }

  int serviceLevel() {
    return serviceLevel;
  }

  int trafficClass() {
    return trafficClass;
  }

  /** Reads that a queue pair may have started, if the devices can. */
  int readsStarted() {
    return readsStarted;
  }

  /** Reads that a queue pair serves at a time, if the device can. */
  int readsServed() {
    return readsServed;
  }

  /** Device, port and address, for people. */
  String describe() {
    return "device "
        + port
        + (port.isEthernet() ? ", Ethernet" : ", InfiniBand")
        + (isByAddress()
            ? ", address " + port.addressText(address) + " (GID " + address + ")"
            : "");
  }
}
