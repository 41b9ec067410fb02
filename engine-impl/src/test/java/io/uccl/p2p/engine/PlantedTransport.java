package io.uccl.p2p.engine;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.util.List;
import java.util.Map;

/** A transport that says what a test wants; each subclass is one more class to be found. */
abstract class PlantedTransport implements TransportProvider {

  private final String name;
  private final List<String> aliases;
  private final int priority;
  private final List<Setting<?>> settings;
  private final Availability availability;

  PlantedTransport(
      String name,
      List<String> aliases,
      int priority,
      List<Setting<?>> settings,
      Availability availability) {
    this.name = name;
    this.aliases = aliases;
    this.priority = priority;
    this.settings = settings;
    this.availability = availability;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public List<String> aliases() {
    return aliases;
  }

  @Override
  public int priority() {
    return priority;
  }

  @Override
  public int handshakeMagic() {
    return name.hashCode();
  }

  @Override
  public List<Setting<?>> settings() {
    return settings;
  }

  @Override
  public Availability probe(Map<String, String> environment) {
    return availability;
  }

  @Override
  public Transport open(TransportContext context) {
    throw new TransportUnavailableException("planted", FailureDetail.NONE);
  }

  /** Best of all, with an own setting; cannot work. */
  static final class Fabric extends PlantedTransport {
    Fabric(Availability availability) {
      super(
          "fabric",
          List.of(),
          300,
          List.of(
              Setting.integer("UCCL_CXI_DEPTH", "queue depth", 16, 1, 64),
              Setting.text("UCCL_LIBFABRIC_SO", "path of a library", "libfabric.so.1")),
          availability);
    }

    Fabric() {
      this(Availability.unavailable("no card", "Buy a card"));
    }
  }

  /** Second, with aliases, and a setting that {@link Fabric} declares too. */
  static final class Verbs extends PlantedTransport {
    Verbs(Availability availability) {
      super(
          "rdma",
          List.of("ib", "verbs"),
          200,
          List.of(
              Setting.integer("UCCL_CXI_DEPTH", "queue depth", 16, 1, 64),
              Setting.integer("UCCL_P2P_RDMA_SL", "service level", 3, 0, 15),
              Setting.text("CUDA_VISIBLE_DEVICES", "the GPUs of this process", "all")),
          availability);
    }

    Verbs() {
      this(Availability.unavailable("no verbs", "Load the driver"));
    }
  }

  /** Third; works. */
  static final class Tcp extends PlantedTransport {
    Tcp(Availability availability) {
      super(
          "tcp",
          List.of(),
          100,
          List.of(Setting.integer("UCCL_TCP_DATA_PORT", "data port", 0, 0, 65535)),
          availability);
    }

    Tcp() {
      this(Availability.available("sockets"));
    }
  }

  /** A third party's: works, and must be named. */
  static final class Acme extends PlantedTransport {
    Acme() {
      super("acme", List.of("acme-fast"), 0, List.of(), Availability.available("acme cards"));
    }
  }
}
