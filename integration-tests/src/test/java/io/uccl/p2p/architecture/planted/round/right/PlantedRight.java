package io.uccl.p2p.architecture.planted.round.right;

import io.uccl.p2p.architecture.planted.round.left.PlantedLeft;

/** A half of a cycle of packages. */
public class PlantedRight {

  public PlantedLeft left() {
    return new PlantedLeft();
  }
}
