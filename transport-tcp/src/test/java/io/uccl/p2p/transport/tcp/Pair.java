package io.uccl.p2p.transport.tcp;

import static org.assertj.core.api.Assertions.fail;

import io.uccl.p2p.spi.ChannelRole;
import io.uccl.p2p.spi.PendingChannel;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** Two sides in one thread, connected over loopback. */
final class Pair implements AutoCloseable {

  private static final long WAIT_NANOS = TimeUnit.SECONDS.toNanos(60);

  final Side left;
  final Side right;
  TcpChannel leftChannel;
  TcpChannel rightChannel;

  Pair(int completionCapacity) {
    this(new Side(completionCapacity), new Side(completionCapacity));
  }

  Pair(Side left, Side right) {
    this.left = left;
    this.right = right;
    connect();
  }

  void connect() {
    PendingChannel connector = left.transport.prepare(ChannelRole.CONNECTOR);
    PendingChannel acceptor = right.transport.prepare(ChannelRole.ACCEPTOR);
    byte[] answer = acceptor.parameters();
    rightChannel = (TcpChannel) acceptor.complete(connector.parameters());
    leftChannel = (TcpChannel) connector.complete(answer);
    until(() -> left.ready.contains(leftChannel) && right.ready.contains(rightChannel));
  }

  /** Polls both until something is so; blocks in between when nothing moves. */
  void until(BooleanSupplier condition) {
    long start = System.nanoTime();
    while (!condition.getAsBoolean()) {
      boolean moved = left.poll();
      moved |= right.poll();
      if (!moved && !condition.getAsBoolean()) {
        left.transport.block(TimeUnit.MILLISECONDS.toNanos(1));
      }
      if (System.nanoTime() - start > WAIT_NANOS) {
        fail(
            "not within a minute: left ended %d of %d, right %d of %d, failures %s %s",
            left.ended.size(),
            left.posted,
            right.ended.size(),
            right.posted,
            left.failed,
            right.failed);
      }
    }
  }

  void finish() {
    until(() -> left.allEnded() && right.allEnded());
  }

  @Override
  public void close() {
    left.close();
    right.close();
  }
}
