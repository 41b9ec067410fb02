/** The conformance kit: the rules of the engine as tests that authors of transports run. */
module io.uccl.p2p.conformance {
  requires io.uccl.p2p;
  requires org.assertj.core;
  requires static org.jspecify;
  requires transitive org.junit.jupiter.api;
}
