package io.uccl.p2p.architecture.planted.cli;

import io.uccl.p2p.architecture.planted.engine.PlantedEngine;

/** A tool that sees the engine, as it may. */
public class PlantedTool {

  public PlantedEngine engine() {
    return new PlantedEngine();
  }
}
