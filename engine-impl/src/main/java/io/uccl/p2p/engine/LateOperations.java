package io.uccl.p2p.engine;

import java.util.LinkedHashSet;
import java.util.Set;

/**
 * The batches that have ended for their callers while the transport still has operations of them:
 * their memory is in use until the transport reports the last. Only the owner uses it.
 */
final class LateOperations {

  private final Set<OperationBatch> batches = new LinkedHashSet<>();

  void add(OperationBatch batch) {
    batches.add(batch);
  }

  /** The transport has reported an operation of a batch, or a part of one, after all. */
  void reported(OperationBatch batch, int index) {
    if (batch.reportedLate(index)) {
      batches.remove(batch);
      batch.free();
    }
  }

  /** Whether any of them uses a region. */
  boolean use(DefaultMemoryRegion region) {
    for (OperationBatch batch : batches) {
      if (batch.uses(region)) {
        return true;
      }
    }
    return false;
  }

  /** Adds those that use a region. */
  void collect(RegionUses uses) {
    batches.forEach(batch -> batch.collect(uses));
  }

  /** The transport is gone, and touches nothing any more. */
  void freeAll() {
    batches.forEach(OperationBatch::free);
    batches.clear();
  }
}
