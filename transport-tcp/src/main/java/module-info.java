/** The transport over TCP. */
module io.uccl.p2p.transport.tcp {
  requires io.uccl.p2p;
  requires static org.jspecify;

  provides io.uccl.p2p.spi.TransportProvider with
      io.uccl.p2p.transport.tcp.TcpTransportProvider;
}
