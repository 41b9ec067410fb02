/** The API of the point-to-point transfer engine and the SPI of its transports. */
module io.uccl.p2p {
  requires static transitive org.jspecify;

  exports io.uccl.p2p;
  exports io.uccl.p2p.spi;
  exports io.uccl.p2p.spi.nativelib;

  uses io.uccl.p2p.spi.EngineProvider;
}
