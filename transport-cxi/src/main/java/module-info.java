/** The transport over HPE Slingshot, through libfabric's {@code cxi} provider. */
module io.uccl.p2p.transport.cxi {
  requires io.uccl.p2p;
  requires static org.jspecify;

  provides io.uccl.p2p.spi.TransportProvider with
      io.uccl.p2p.transport.cxi.CxiTransportProvider;
}
