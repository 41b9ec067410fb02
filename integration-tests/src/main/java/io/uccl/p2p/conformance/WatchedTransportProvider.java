package io.uccl.p2p.conformance;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;

/**
 * Declares the transport {@code watched}: the transport under test, and a {@link Watch} between it
 * and the engine. Its magic is its own, so both sides of a connection have to use it.
 */
public final class WatchedTransportProvider implements TransportProvider {

  private static final String NAME = "watched";
  private static final String REMEDY = "Leave it to the conformance kit";

  private static final Setting<String> TRANSPORT =
      Setting.text("P2P_KIT_WATCHED", "the transport that the conformance kit watches", "none");

  private static final Setting<Integer> WATCH =
      Setting.integer(
          "P2P_KIT_WATCH", "number of the conformance kit's watch", 0, 0, Integer.MAX_VALUE);

  /** For {@link ServiceLoader}. */
  public WatchedTransportProvider() {}

  static Map<String, String> variables(String transport, int watch) {
    return Map.of(
        "UCCL_P2P_TRANSPORT",
        NAME,
        TRANSPORT.name(),
        transport,
        WATCH.name(),
        Integer.toString(watch));
  }

  /** The provider of a name on the class path or module path. */
  static Optional<TransportProvider> find(String name) {
    return ServiceLoader.load(TransportProvider.class).stream()
        .map(ServiceLoader.Provider::get)
        .filter(each -> each.name().equals(name))
        .findFirst();
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public int handshakeMagic() {
    return 'K' | 'I' << 8 | 'T' << 16 | 'W' << 24;
  }

  @Override
  public List<Setting<?>> settings() {
    return List.of(TRANSPORT, WATCH);
  }

  @Override
  public Availability probe(Map<String, String> environment) {
    return TRANSPORT.isSet(environment)
        ? find(TRANSPORT.in(environment))
            .map(provider -> provider.probe(environment))
            .orElseGet(() -> Availability.unavailable(missing(environment), REMEDY))
        : Availability.unavailable("only for the conformance kit", REMEDY);
  }

  @Override
  public Transport open(TransportContext context) {
    TransportProvider provider =
        find(TRANSPORT.in(context.environment()))
            .orElseThrow(
                () ->
                    new TransportUnavailableException(
                        missing(context.environment()),
                        FailureDetail.remedy(REMEDY).withTransport(NAME)));
    Transport transport = provider.open(context);
    Watch watch = Watch.numbered(WATCH.in(context.environment()));
    return new WatchedTransport(transport, watch);
  }

  private static String missing(Map<String, String> environment) {
    return "there is no transport '" + TRANSPORT.in(environment) + "' to be watched";
  }
}
