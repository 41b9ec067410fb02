package io.uccl.p2p.architecture.planted.round.left;

import io.uccl.p2p.architecture.planted.round.right.PlantedRight;

/** A half of a cycle of packages. */
public class PlantedLeft {

  public PlantedRight right() {
    return new PlantedRight();
  }
}
