/** The engine behind the API; it meets transports only through {@link java.util.ServiceLoader}. */
module io.uccl.p2p.engine {
  requires io.uccl.p2p;
  requires jdk.net;
  requires static org.jspecify;
  requires org.slf4j;

  uses io.uccl.p2p.spi.TransportProvider;

  provides io.uccl.p2p.spi.EngineProvider with
      io.uccl.p2p.engine.DefaultEngineProvider;
}
