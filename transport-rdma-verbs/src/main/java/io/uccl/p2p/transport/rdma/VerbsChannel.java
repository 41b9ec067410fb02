package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.OpBuffer;
import org.jspecify.annotations.Nullable;

/**
 * The way to one peer. Its queue pairs live and break together, and are destroyed when the channel
 * is closed and its last operation has come back.
 */
final class VerbsChannel implements Channel {

  private final VerbsTransport transport;
  private final int tag;
  private final VerbsConnection connection;
  private int outstanding;
  private @Nullable P2pException failure;
  private @Nullable P2pException suspicion;
  private long suspectedSince;
  private boolean closed;

  VerbsChannel(VerbsTransport transport, int tag, VerbsConnection connection) {
    this.transport = transport;
    this.tag = tag;
    this.connection = connection;
  }

  @Override
  public int post(OpBuffer operations, int first, int count) {
    int taken = transport.post(this, operations, first, count);
    outstanding += taken;
    return taken;
  }

  /** Grows with each piece of an operation that ended: the device says nothing before. */
  @Override
  public long progress() {
    return connection.progress();
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      if (failure == null) {
        failure = new ResourceClosedException("the connection was closed", FailureDetail.NONE);
      }
      connection.breakPairs();
      transport.retire(this);
    }
  }

  /** What its completions and events carry. */
  int tag() {
    return tag;
  }

  VerbsConnection connection() {
    return connection;
  }

  /** An operation has been reported. */
  void completed() {
    outstanding--;
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

  /** An event says that it broke; its completions, which come now, may know better why. */
  void suspect(P2pException cause, long now) {
    suspicion = cause;
    suspectedSince = now;
    connection.breakPairs();
  }

  /** What an event said, or null. */
  @Nullable P2pException suspicion() {
    return suspicion;
  }

  /** When it said so, in {@link System#nanoTime}. */
  long suspectedSince() {
    return suspectedSince;
  }

  /** What is outstanding comes back with the cause, and the peer is served no more. */
  void fail(P2pException cause) {
    failure = cause;
    connection.breakPairs();
  }
}
