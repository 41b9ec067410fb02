package io.uccl.p2p.transport.tcp;

import org.jspecify.annotations.Nullable;

/**
 * Open regions by their id. Open addressing with linear probing, because a map with boxed keys
 * would allocate on every frame.
 */
final class TcpMemoryTable {

  private @Nullable TcpMemory[] slots = new @Nullable TcpMemory[16];
  private int size;

  @Nullable TcpMemory get(int rid) {
    int mask = slots.length - 1;
    for (int i = home(rid, mask); ; i = (i + 1) & mask) {
      TcpMemory memory = slots[i];
      if (memory == null || memory.rid() == rid) {
        return memory;
      }
    }
  }

  void add(TcpMemory memory) {
    if (2 * (size + 1) > slots.length) {
      @Nullable TcpMemory[] old = slots;
      slots = new @Nullable TcpMemory[2 * old.length];
      for (TcpMemory other : old) {
        if (other != null) {
          insert(other);
        }
      }
    }
    insert(memory);
    size++;
  }

  void remove(TcpMemory memory) {
    int mask = slots.length - 1;
    int i = home(memory.rid(), mask);
    while (slots[i] != memory) {
      if (slots[i] == null) {
        return;
      }
      i = (i + 1) & mask;
    }
    slots[i] = null;
    size--;
    // Whatever probed past the gap must still be found.
    for (int j = (i + 1) & mask; ; j = (j + 1) & mask) {
      TcpMemory moved = slots[j];
      if (moved == null) {
        return;
      }
      slots[j] = null;
      insert(moved);
    }
  }

  private void insert(TcpMemory memory) {
    int mask = slots.length - 1;
    int i = home(memory.rid(), mask);
    while (slots[i] != null) {
      i = (i + 1) & mask;
    }
    slots[i] = memory;
  }

  private static int home(int rid, int mask) {
    return ((rid * 0x9E3779B9) >>> 16) & mask;
  }
}
