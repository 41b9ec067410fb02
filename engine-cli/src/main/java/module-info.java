/** The command-line tool: bench, doctor, soak. */
module io.uccl.p2p.cli {
  requires com.fasterxml.jackson.databind;
  requires info.picocli;
  requires io.uccl.p2p;
  requires HdrHistogram;
  requires static org.jspecify;
  requires org.slf4j;
}
