package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Declares the transport over HPE Slingshot: libfabric's cxi provider, through a native shim.
 *
 * <p>Without a Slingshot device libfabric is not even asked, unless {@code UCCL_CXI_PROVIDER} says
 * which provider to run on.
 */
public final class CxiTransportProvider implements TransportProvider {

  /** The magic of the C++ engine's handshake over cxi, with which this one is interoperable. */
  private static final int HANDSHAKE_MAGIC = 0x43584950;

  /** As many as the C++ engine; fewer than elsewhere, because the NIC's queues are shallow. */
  private static final int INFLIGHT_OPERATIONS = 32;

  private static final String OTHER_TRANSPORT = "Use tcp: UCCL_P2P_TRANSPORT=tcp";

  /** Published measurements on 1.22 and on 2.5; what lies between, nobody has told. */
  private static final String OLD =
      "This libfabric is old: below 2.0, cxi has been seen to fall from about 20 to about 1.7 GB/s"
          + " once a region is larger than about 1.5 GiB; install libfabric 2.0 or later, or set"
          + " UCCL_LIBFABRIC_SO to one";

  private final Path devices;

  /** For {@link java.util.ServiceLoader}. */
  public CxiTransportProvider() {
    this(Path.of("/sys/class/cxi"));
  }

  /** Looks for the devices in another folder. */
  CxiTransportProvider(Path devices) {
    this.devices = devices;
  }

  @Override
  public String name() {
    return "cxi";
  }

  @Override
  public int priority() {
    return 300;
  }

  @Override
  public int handshakeMagic() {
    return HANDSHAKE_MAGIC;
  }

  @Override
  public boolean sharesHandshake() {
    return true;
  }

  @Override
  public List<Setting<?>> settings() {
    return CxiSettings.ALL;
  }

  @Override
  public int defaultInflightOperations() {
    return INFLIGHT_OPERATIONS;
  }

  @Override
  public Availability probe(Map<String, String> environment) {
    try {
      CxiOpening opening = opening(environment, 0, InetAddress.getLoopbackAddress());
      CxiDomains domains = CxiDomains.find(opening);
      return Availability.available(
          "libfabric "
              + domains.version()
              + ", provider "
              + opening.provider()
              + ", domain "
              + String.join(", ", domains.names())
              + (domains.takesGpuMemory() ? ", GPU memory too" : ""),
          domains.isOld() ? OLD : "");
    } catch (P2pException e) {
      return Availability.unavailable(e.summary(), e.detail().remedy());
    }
  }

  @Override
  public Transport open(TransportContext context) {
    CxiOpening opening = opening(context.environment(), context.gpuIndex(), context.bindAddress());
    CxiDomains.find(opening);
    return new CxiTransport(new CxiEndpoints(opening));
  }

  /**
   * What to ask libfabric for.
   *
   * @throws TransportUnavailableException if it need not be asked, or cannot
   */
  private CxiOpening opening(Map<String, String> environment, int gpuIndex, InetAddress source) {
    String missing = missingDevice(environment);
    if (missing != null) {
      throw unavailable(missing, OTHER_TRANSPORT);
    }
    for (Availability needed :
        List.of(NativeMemory.availability(), CxiShim.LIBRARY.availability())) {
      if (!needed.available()) {
        throw unavailable(needed.detail(), needed.remedy());
      }
    }
    return new CxiOpening(environment, gpuIndex, source);
  }

  private TransportUnavailableException unavailable(String why, String remedy) {
    return new TransportUnavailableException(
        why, FailureDetail.remedy(remedy).withTransport(name()));
  }

  /** Why there is nothing to ask libfabric for, or null. */
  private @Nullable String missingDevice(Map<String, String> environment) {
    if (CxiSettings.PROVIDER.isSet(environment)) {
      return null;
    }
    try (Stream<Path> entries = Files.list(devices)) {
      return entries.findAny().isEmpty() ? "no Slingshot device in " + devices : null;
    } catch (NoSuchFileException e) {
      return "no Slingshot device: there is no " + devices;
    } catch (IOException | UncheckedIOException e) {
      // Whether there are any, libfabric will say.
      return null;
    }
  }
}
