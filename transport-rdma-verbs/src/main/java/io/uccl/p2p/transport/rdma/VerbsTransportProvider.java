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
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * Declares the transport over RDMA verbs: InfiniBand and RoCE, through libibverbs and a native
 * shim.
 *
 * <p>Without a device in the kernel nothing is loaded.
 */
public final class VerbsTransportProvider implements TransportProvider {

  /** {@code RDMA} in ASCII, first letter in the highest byte, as cxi's spells {@code CXIP}. */
  private static final int HANDSHAKE_MAGIC = 0x52444D41;

  private final VerbsDevices devices;

  /** For {@link java.util.ServiceLoader}. */
  public VerbsTransportProvider() {
    this(VerbsDevices.KERNELS);
  }

  /** Looks for the devices in another folder. */
  VerbsTransportProvider(Path devices) {
    this.devices = new VerbsDevices(devices);
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
      return Availability.available("libibverbs, " + opening(environment).describe());
    } catch (P2pException e) {
      return Availability.unavailable(e.summary(), e.detail().remedy());
    }
  }

  @Override
  public Transport open(TransportContext context) {
    return new VerbsTransport(
        List.of(opening(context.environment())),
        context.environment(),
        context.maxInflightOperations());
  }

  /**
   * What to open.
   *
   * @throws TransportUnavailableException if there is nothing, or the libraries are missing
   */
  private VerbsOpening opening(Map<String, String> environment) {
    VerbsPort port = devices.choose(environment);
    for (Availability needed :
        List.of(NativeMemory.availability(), VerbsShim.LIBRARY.availability())) {
      if (!needed.available()) {
        throw unavailable(needed.detail(), needed.remedy());
      }
    }
    VerbsOpening opening = new VerbsOpening(environment, port);
    List<String> known = opening.libraryDevices();
    if (!known.contains(port.device())) {
      throw unavailable(
          "libibverbs has no driver for "
              + port.device()
              + (known.isEmpty() ? "" : ", only for " + String.join(", ", known)),
          "Install it (Debian: apt-get install ibverbs-providers), and see that"
              + " /dev/infiniband/uverbs* are there");
    }
    return opening;
  }

  private TransportUnavailableException unavailable(String why, String remedy) {
    return new TransportUnavailableException(
        why, FailureDetail.remedy(remedy).withTransport(name()));
  }
}
