/** The transport over RDMA verbs: InfiniBand and RoCE. */
module io.uccl.p2p.transport.rdma {
  requires io.uccl.p2p;
  requires static org.jspecify;

  provides io.uccl.p2p.spi.TransportProvider with
      io.uccl.p2p.transport.rdma.VerbsTransportProvider;
}
