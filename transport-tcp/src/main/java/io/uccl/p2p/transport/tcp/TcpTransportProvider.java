package io.uccl.p2p.transport.tcp;

import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.util.List;
import java.util.Map;

/** Declares the tcp transport, which works on every machine. */
public final class TcpTransportProvider implements TransportProvider {

  static final String NAME = "tcp";

  static final Setting<Integer> DATA_PORT =
      Setting.integer(
          "UCCL_TCP_DATA_PORT", "port of the tcp transport's data listener, 0: any", 0, 0, 65535);

  // "UTCP" on the wire. No C++ process knows it: a C++ peer would be wedged by this handshake.
  private static final int HANDSHAKE_MAGIC = 0x50435455;

  /** For {@link java.util.ServiceLoader}. */
  public TcpTransportProvider() {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public int priority() {
    return 100;
  }

  @Override
  public int handshakeMagic() {
    return HANDSHAKE_MAGIC;
  }

  @Override
  public List<Setting<?>> settings() {
    return List.of(DATA_PORT);
  }

  @Override
  public Availability probe(Map<String, String> environment) {
    return Availability.available("sockets of the JDK");
  }

  @Override
  public Transport open(TransportContext context) {
    return TcpTransport.open(context);
  }
}
