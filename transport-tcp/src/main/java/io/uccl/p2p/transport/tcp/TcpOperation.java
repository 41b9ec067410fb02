package io.uccl.p2p.transport.tcp;

import org.jspecify.annotations.Nullable;

/**
 * An operation that has bytes to send: a write or a read of ours, or a reply to a peer's read.
 * Reused, so that operations allocate nothing.
 */
final class TcpOperation {

  /** What it is. */
  enum Kind {
    WRITE,
    READ,
    REPLY
  }

  /** Place in its pool; with the generation it makes the id on the wire. */
  final int slot;

  private int generation;
  @Nullable Kind kind;

  /** The engine's id of our operation, or the peer's id on the wire that a reply carries. */
  long id;

  @Nullable TcpMemory memory;
  long localOffset;
  long length;
  long address;
  int rid;
  long idx;
  long key;

  /** Bytes of it that are framed, or that have arrived. */
  long moved;

  /** All of it that goes out is framed, so it is in no queue and the peer may answer. */
  boolean framed;

  @Nullable TcpOperation next;

  TcpOperation(int slot) {
    this.slot = slot;
  }

  long wireId() {
    return (long) generation << 32 | slot;
  }

  boolean isActive() {
    return kind != null;
  }

  TcpMemory memory() {
    if (memory == null) {
      throw new IllegalStateException("operation in slot " + slot + " is not active");
    }
    return memory;
  }

  /** Makes the id on the wire stale and lets go of the memory. */
  void retire() {
    generation++;
    kind = null;
    memory = null;
    moved = 0;
    framed = false;
  }
}
