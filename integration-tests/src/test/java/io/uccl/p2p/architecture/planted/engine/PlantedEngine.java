package io.uccl.p2p.architecture.planted.engine;

import io.uccl.p2p.architecture.planted.transport.two.PlantedNeighbour;

/** An engine that sees a transport. */
public class PlantedEngine {

  public PlantedNeighbour neighbour() {
    return new PlantedNeighbour();
  }
}
