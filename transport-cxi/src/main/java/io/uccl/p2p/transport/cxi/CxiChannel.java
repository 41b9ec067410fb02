package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.OpBuffer;
import org.jspecify.annotations.Nullable;

/**
 * The way to one peer: its number in the address vector.
 *
 * <p>Nothing on cxi can be cancelled. So a channel that is closed, or has failed, stays in the
 * transport's table until its last operation has come back.
 */
final class CxiChannel implements Channel {

  private final CxiTransport transport;
  private final CxiEndpoint endpoint;
  private final int index;
  private final long peer;
  private int outstanding;
  private long completed;
  private @Nullable P2pException failure;
  private boolean closed;

  CxiChannel(CxiTransport transport, CxiEndpoint endpoint, int index, long peer) {
    this.transport = transport;
    this.endpoint = endpoint;
    this.index = index;
    this.peer = peer;
  }

  @Override
  public int post(OpBuffer operations, int first, int count) {
    int taken = transport.post(this, operations, first, count);
    outstanding += taken;
    return taken;
  }

  /** Grows with each operation that ended: how far one has come, the network does not say. */
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
      transport.retire(this);
    }
  }

  CxiEndpoint endpoint() {
    return endpoint;
  }

  int index() {
    return index;
  }

  long peer() {
    return peer;
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
