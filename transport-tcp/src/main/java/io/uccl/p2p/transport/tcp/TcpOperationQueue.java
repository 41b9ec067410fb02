package io.uccl.p2p.transport.tcp;

import org.jspecify.annotations.Nullable;

/** Operations in order, linked through themselves. */
final class TcpOperationQueue {

  private @Nullable TcpOperation head;
  private @Nullable TcpOperation tail;

  boolean isEmpty() {
    return head == null;
  }

  @Nullable TcpOperation peek() {
    return head;
  }

  void add(TcpOperation operation) {
    operation.next = null;
    if (tail == null) {
      head = operation;
    } else {
      tail.next = operation;
    }
    tail = operation;
  }

  void removeFirst() {
    if (head != null) {
      TcpOperation first = head;
      head = first.next;
      first.next = null;
      if (head == null) {
        tail = null;
      }
    }
  }

  void clear() {
    head = null;
    tail = null;
  }
}
