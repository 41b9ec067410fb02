/** The command-line tool: bench and doctor. */
module io.uccl.p2p.cli {
  requires com.fasterxml.jackson.databind;
  requires info.picocli;
  requires io.uccl.p2p;
  requires java.management;
  requires HdrHistogram;
  requires static org.jspecify;
  requires org.slf4j;

  uses io.uccl.p2p.spi.EngineProvider;
  uses io.uccl.p2p.spi.TransportProvider;

  // The annotations of the commands are read, and their options set, by reflection.
  opens io.uccl.p2p.cli to
      info.picocli;
}
