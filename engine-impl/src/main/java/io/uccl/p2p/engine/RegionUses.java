package io.uccl.p2p.engine;

import java.util.ArrayList;
import java.util.List;

/** The operations that use a region, as the refusal to close it names them. */
final class RegionUses {

  private static final int NAMED = 3;

  private final DefaultMemoryRegion region;
  private final List<String> named = new ArrayList<>(NAMED);
  private int count;

  RegionUses(DefaultMemoryRegion region) {
    this.region = region;
  }

  DefaultMemoryRegion region() {
    return region;
  }

  void add(OperationBatch batch, int index) {
    if (count++ < NAMED) {
      named.add(batch.describeUse(index));
    }
  }

  boolean isEmpty() {
    return count == 0;
  }

  @Override
  public String toString() {
    String all = String.join(", ", named);
    return count > NAMED ? all + " and " + (count - NAMED) + " more" : all;
  }
}
