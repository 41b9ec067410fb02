package io.uccl.p2p.engine;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Which operation of which batch an id in a completion means. Only the owner uses it.
 *
 * <p>An id is a slot and the generation of its use, so that a completion which comes twice, or for
 * something long gone, is recognised.
 */
final class TransferTable {

  private @Nullable OperationBatch[] batches = new @Nullable OperationBatch[256];
  private int[] indexes = new int[256];
  private int[] generations = new int[256];
  private int[] free = new int[256];
  private int freeCount;

  TransferTable() {
    addFree(0);
  }

  /** Enters an operation and returns its id. */
  long add(OperationBatch batch, int index) {
    if (freeCount == 0) {
      grow();
    }
    int slot = free[--freeCount];
    batches[slot] = batch;
    indexes[slot] = index;
    return (long) generations[slot] << 32 | slot;
  }

  /** The batch of an id, or null if the id is not under way. */
  @Nullable OperationBatch batch(long id) {
    int slot = (int) id;
    return slot >= 0 && slot < batches.length && generations[slot] == (int) (id >>> 32)
        ? batches[slot]
        : null;
  }

  /** The operation's index in its batch, for an id that is under way. */
  int index(long id) {
    return indexes[(int) id];
  }

  /** How many ids of a connection are under way that use a region of the peer. */
  int count(DefaultConnection connection, long remoteIdx) {
    int count = 0;
    for (int slot = 0; slot < batches.length; slot++) {
      OperationBatch batch = batches[slot];
      if (batch != null
          && batch.connection() == connection
          && batch.operations().remoteIdx(indexes[slot]) == remoteIdx) {
        count++;
      }
    }
    return count;
  }

  /** Takes out an id that is under way. */
  void remove(long id) {
    int slot = (int) id;
    batches[slot] = null;
    generations[slot]++;
    free[freeCount++] = slot;
  }

  private void grow() {
    int old = batches.length;
    batches = Arrays.copyOf(batches, 2 * old);
    indexes = Arrays.copyOf(indexes, 2 * old);
    generations = Arrays.copyOf(generations, 2 * old);
    free = Arrays.copyOf(free, 2 * old);
    addFree(old);
  }

  private void addFree(int from) {
    for (int slot = batches.length - 1; slot >= from; slot--) {
      free[freeCount++] = slot;
    }
  }
}
