package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Declares the transport over HPE Slingshot, and says why it cannot be opened: this version checks
 * its settings and looks for its devices, but moves no data yet.
 */
public final class CxiTransportProvider implements TransportProvider {

  /** The magic of the C++ engine's handshake over cxi, with which this one is interoperable. */
  private static final int HANDSHAKE_MAGIC = 0x43584950;

  /** As many as the C++ engine; fewer than elsewhere, because the NIC's queues are shallow. */
  private static final int INFLIGHT_OPERATIONS = 32;

  private static final String REMEDY = "Use tcp: UCCL_P2P_TRANSPORT=tcp";

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
  public List<Setting<?>> settings() {
    return CxiSettings.ALL;
  }

  @Override
  public int defaultInflightOperations() {
    return INFLIGHT_OPERATIONS;
  }

  @Override
  public Availability probe(Map<String, String> environment) {
    return Availability.unavailable(reason(), REMEDY);
  }

  @Override
  public Transport open(TransportContext context) {
    throw new TransportUnavailableException(
        reason(), FailureDetail.remedy(REMEDY).withTransport(name()));
  }

  private String reason() {
    return "this version has no cxi data path yet (" + found() + ")";
  }

  private String found() {
    try (Stream<Path> entries = Files.list(devices)) {
      String names =
          entries
              .map(entry -> String.valueOf(entry.getFileName()))
              .sorted()
              .collect(Collectors.joining(", "));
      return names.isEmpty()
          ? "no Slingshot device in " + devices
          : "Slingshot devices of this machine: " + names;
    } catch (NoSuchFileException e) {
      return "no Slingshot device: there is no " + devices;
    } catch (IOException | UncheckedIOException e) {
      return "Slingshot devices unknown: " + devices + " cannot be read";
    }
  }
}
