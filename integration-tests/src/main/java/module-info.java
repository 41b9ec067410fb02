/** The conformance kit: the rules of the engine as tests that authors of transports run. */
module io.uccl.p2p.conformance {
  requires transitive io.uccl.p2p;
  requires java.management;
  requires org.assertj.core;
  requires static org.jspecify;
  requires transitive org.junit.jupiter.api;

  exports io.uccl.p2p.conformance;

  // JUnit calls what is not public, too.
  opens io.uccl.p2p.conformance;

  uses io.uccl.p2p.spi.TransportProvider;

  provides io.uccl.p2p.spi.TransportProvider with
      io.uccl.p2p.conformance.WatchedTransportProvider;
}
