package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.OpBuffer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The way to one peer: queue pairs that are connected to the peer's. They live and break together,
 * and are destroyed when the channel is closed and its last operation has come back.
 */
final class VerbsChannel implements Channel {

  private final VerbsTransport transport;
  private final List<VerbsQueuePair> queuePairs;
  private int outstanding;
  private long completed;
  private @Nullable P2pException failure;
  private boolean closed;

  VerbsChannel(VerbsTransport transport, List<VerbsQueuePair> queuePairs) {
    this.transport = transport;
    this.queuePairs = queuePairs;
  }

  @Override
  public int post(OpBuffer operations, int first, int count) {
    int taken = transport.post(this, operations, first, count);
    outstanding += taken;
    return taken;
  }

  /** Grows with each operation that ended: how far one has come, the device does not say. */
  @Override
  public long progress() {
    return completed;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      if (failure == null) {
        failure = new ResourceClosedException("the connection was closed", FailureDetail.NONE);
      }
      breakConnection();
      transport.retire(this);
    }
  }

  /** One and more. */
  List<VerbsQueuePair> queuePairs() {
    return queuePairs;
  }

  /** What is outstanding comes back, and the peer is served no more. */
  void breakConnection() {
    queuePairs.forEach(VerbsQueuePair::breakConnection);
  }

  /** An operation has been reported. */
  void completed() {
    outstanding--;
    completed++;
  }

  boolean hasOutstanding() {
    return outstanding > 0;
  }

  boolean isClosed() {
    return closed;
  }

  /** What its operations fail with, or null while it is in order. */
  @Nullable P2pException failure() {
    return failure;
  }

  void fail(P2pException cause) {
    failure = cause;
  }
}
