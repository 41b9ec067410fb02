package io.uccl.p2p.architecture.planted.spi;

import org.slf4j.Logger;

/** An SPI that shows a logger. */
public interface PlantedSpi {

  void log(Logger logger);
}
