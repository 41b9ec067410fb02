package io.uccl.p2p.spi.nativelib;

import java.util.BitSet;

/**
 * The places of a shim's table, such as that of registrations, by which operations name what lies
 * there. Thread-safe.
 */
public final class Places {

  private final BitSet taken = new BitSet();

  /** All are free. */
  public Places() {}

  /** Takes the first free place, from 0 on. How many the table has, the shim knows. */
  public synchronized int take() {
    int place = taken.nextClearBit(0);
    taken.set(place);
    return place;
  }

  /** Gives a place back: nothing lies there any more. */
  public synchronized void free(int place) {
    taken.clear(place);
  }
}
