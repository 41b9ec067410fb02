package io.uccl.p2p.architecture.planted.transport.one;

import io.uccl.p2p.architecture.planted.engine.PlantedEngine;
import io.uccl.p2p.architecture.planted.transport.two.PlantedNeighbour;

/** A transport that sees the engine and another transport. */
public class PlantedTransport {

  public int both() {
    return new PlantedEngine().hashCode() + new PlantedNeighbour().hashCode();
  }
}
