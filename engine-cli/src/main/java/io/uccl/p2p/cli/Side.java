package io.uccl.p2p.cli;

import java.io.IOException;

/** One side of a pair: something that moves the bytes of one shape, call after call. */
interface Side {

  /**
   * Makes some calls.
   *
   * @return the nanoseconds that they took, without what lies between them
   */
  long run(int calls) throws IOException, InterruptedException;
}
