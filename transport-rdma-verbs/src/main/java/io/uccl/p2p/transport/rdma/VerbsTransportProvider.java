package io.uccl.p2p.transport.rdma;

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
 * Declares the transport over RDMA verbs, and says why it cannot be opened: this version checks its
 * settings and looks for its devices, but moves no data yet.
 */
public final class VerbsTransportProvider implements TransportProvider {

  /** {@code RDMA} in ASCII, first letter in the highest byte, as cxi's spells {@code CXIP}. */
  private static final int HANDSHAKE_MAGIC = 0x52444D41;

  private static final String REMEDY = "Use tcp: UCCL_P2P_TRANSPORT=tcp";

  private final Path devices;

  /** For {@link java.util.ServiceLoader}. */
  public VerbsTransportProvider() {
    this(Path.of("/sys/class/infiniband"));
  }

  /** Looks for the devices in another folder. */
  VerbsTransportProvider(Path devices) {
    this.devices = devices;
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
    return Availability.unavailable(reason(), REMEDY);
  }

  @Override
  public Transport open(TransportContext context) {
    throw new TransportUnavailableException(
        reason(), FailureDetail.remedy(REMEDY).withTransport(name()));
  }

  private String reason() {
    return "this version has no rdma data path yet (" + found() + ")";
  }

  private String found() {
    try (Stream<Path> entries = Files.list(devices)) {
      String names =
          entries
              .map(entry -> String.valueOf(entry.getFileName()))
              .sorted()
              .collect(Collectors.joining(", "));
      return names.isEmpty()
          ? "no RDMA device in " + devices
          : "RDMA devices of this machine: " + names;
    } catch (NoSuchFileException e) {
      return "no RDMA device: there is no " + devices;
    } catch (IOException | UncheckedIOException e) {
      return "RDMA devices unknown: " + devices + " cannot be read";
    }
  }
}
