package io.uccl.p2p.architecture.planted.transport.two;

/** A transport that behaves as if the process were its own. */
public class PlantedNeighbour {

  void endTheProcess(boolean softly) {
    if (softly) {
      System.exit(1);
    }
    Runtime.getRuntime().halt(1);
  }

  void print(Exception cause) {
    System.out.println("here");
    System.err.println("there");
    cause.printStackTrace();
  }
}
