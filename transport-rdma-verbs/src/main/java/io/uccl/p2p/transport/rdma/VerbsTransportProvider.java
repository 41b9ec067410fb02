package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Declares the transport over RDMA verbs: InfiniBand and RoCE, through libibverbs and a native
 * shim.
 *
 * <p>Without a device in the kernel nothing is loaded.
 */
public final class VerbsTransportProvider implements TransportProvider {

  /** {@code RDMA} in ASCII, first letter in the highest byte, as cxi's spells {@code CXIP}. */
  private static final int HANDSHAKE_MAGIC = 0x52444D41;

  /** Whose devices the probe tells; an engine's GPU it does not know. */
  private static final int PROBED_GPU = 0;

  private final VerbsDevices devices;

  /** For {@link java.util.ServiceLoader}. */
  public VerbsTransportProvider() {
    this(KernelFiles.LIVE);
  }

  /** Looks for the devices in other files. */
  VerbsTransportProvider(KernelFiles kernel) {
    this.devices = new VerbsDevices(kernel);
  }

  @Override
  public String name() {
    return "rdma";
  }

  @Override
  public List<String> aliases() {
    return List.of("ib", "verbs");
  }

  @Override
  public int priority() {
    return 200;
  }

  @Override
  public int handshakeMagic() {
    return HANDSHAKE_MAGIC;
  }

  @Override
  public List<Setting<?>> settings() {
    return VerbsSettings.ALL;
  }

  @Override
  public Availability probe(Map<String, String> environment) {
    try {
      VerbsChoice choice = devices.choose(environment, PROBED_GPU);
      String ports =
          openings(environment, choice.ports()).stream()
              .map(VerbsOpening::describe)
              .collect(Collectors.joining("; "));
      return Availability.available(
          "libibverbs, " + ports + " (" + choice.reason() + ")", choice.warning());
    } catch (P2pException e) {
      return Availability.unavailable(e.summary(), e.detail().remedy());
    }
  }

  @Override
  public Transport open(TransportContext context) {
    return new VerbsTransport(
        openings(context.environment(), context.gpuIndex()),
        context.environment(),
        context.maxInflightOperations());
  }

  /**
   * What to open, 1 to 4.
   *
   * @throws TransportUnavailableException if there is nothing, or the libraries are missing
   */
  List<VerbsOpening> openings(Map<String, String> environment, int gpuIndex) {
    return openings(environment, devices.choose(environment, gpuIndex).ports());
  }

  private List<VerbsOpening> openings(Map<String, String> environment, List<VerbsPort> ports) {
    for (Availability needed :
        List.of(NativeMemory.availability(), VerbsShim.LIBRARY.availability())) {
      if (!needed.available()) {
        throw unavailable(needed.detail(), needed.remedy());
      }
    }
    List<VerbsOpening> openings = new ArrayList<>();
    for (VerbsPort port : ports) {
      openings.add(new VerbsOpening(environment, port));
    }
    List<String> known = openings.get(0).libraryDevices();
    for (VerbsPort port : ports) {
      if (!known.contains(port.device())) {
        throw unavailable(
            "libibverbs has no driver for "
                + port.device()
                + (known.isEmpty() ? "" : ", only for " + String.join(", ", known)),
            "Install it (Debian: apt-get install ibverbs-providers), and see that"
                + " /dev/infiniband/uverbs* are there");
      }
    }
    return List.copyOf(openings);
  }

  private TransportUnavailableException unavailable(String why, String remedy) {
    return new TransportUnavailableException(
        why, FailureDetail.remedy(remedy).withTransport(name()));
  }
}
