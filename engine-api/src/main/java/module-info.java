/** The API of the point-to-point transfer engine and the SPI of its transports. */
module io.uccl.p2p {
  requires static org.jspecify;
}
