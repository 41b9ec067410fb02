package io.uccl.p2p.cli;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.PeerUnreachableException;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.SocketChannel;
import java.time.Duration;

/**
 * The limit that the engine is measured against: a raw socket copy of the same shape, from the same
 * memory into the same memory, with one acknowledgement at the end of each call.
 *
 * <p>Used by one thread at a time.
 */
final class RawCopy implements AutoCloseable {

  /** How results name it. */
  static final String NAME = "raw socket copy";

  private static final int CONNECT_MILLIS = 10_000;

  /** How long nothing may move. */
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final SocketChannel channel;
  private final Footprint memory;
  private final long token;
  private final String peer;
  private final RawWatch watch;
  private final Duration patience;

  private RawCopy(
      SocketChannel channel, Footprint memory, long token, String peer, Duration patience) {
    this.channel = channel;
    this.peer = peer;
    this.memory = memory;
    this.token = token;
    this.patience = patience;
    this.watch = new RawWatch(channel, patience);
  }

  /**
   * Connects to a {@link RawServer}.
   *
   * @throws PeerUnreachableException if nothing answers there
   */
  static RawCopy connect(InetSocketAddress address, long token, Footprint memory)
      throws IOException {
    return connect(address, token, memory, PATIENCE);
  }

  /** The same, with less patience for a peer that has stopped. */
  static RawCopy connect(InetSocketAddress address, long token, Footprint memory, Duration patience)
      throws IOException {
    SocketChannel channel = SocketChannel.open();
    try {
      channel.socket().connect(address, CONNECT_MILLIS);
      channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
      return new RawCopy(channel, memory, token, address.toString(), patience);
    } catch (IOException e) {
      channel.close();
      throw new PeerUnreachableException(
          "the port of the limit cannot be reached: " + e.getMessage(),
          FailureDetail.NONE
              .withPeer(address.toString())
              .withRemedy("Let TCP connections through to the server's ephemeral ports"),
          e);
    }
  }

  /** One shape and way of copying, to be measured. */
  Side side(Shape shape, Mode mode, Variant variant) {
    RawEnd end = new RawEnd(channel, memory, shape);
    return calls -> run(end, new RawOrder(token, shape, calls, mode, variant));
  }

  /** The target sees the end of the connection, and waits for the next one. */
  @Override
  public void close() throws IOException {
    watch.close();
    channel.close();
  }

  private long run(RawEnd end, RawOrder order) throws IOException {
    watch.begin(end);
    try {
      return copy(end, order);
    } catch (ClosedByInterruptException e) {
      throw e;
    } catch (IOException e) {
      if (watch.isStuck()) {
        throw new ToolException(
            ExitCode.PEER_UNREACHABLE,
            NAME
                + " stands still: no byte has moved for "
                + patience.toSeconds()
                + " s; peer: "
                + peer
                + ". Check that the server's process is not stopped, and that its machine is there",
            e);
      }
      throw new ToolException(
          ExitCode.FAILED,
          NAME
              + " broke: "
              + (e.getMessage() == null ? "the connection was closed" : e.getMessage())
              + "; peer: "
              + peer
              + ". Check that the server still runs",
          e);
    } finally {
      watch.end();
    }
  }

  private long copy(RawEnd end, RawOrder order) throws IOException {
    order.send(channel);
    if (channel.read(ByteBuffer.allocate(1)) < 0) {
      throw new EOFException("the peer ended the raw copy");
    }
    channel.configureBlocking(order.variant() == Variant.BLOCKING);
    long start = System.nanoTime();
    for (int i = 0; i < order.calls(); i++) {
      end.initiate(order.mode());
    }
    long nanos = System.nanoTime() - start;
    channel.configureBlocking(true);
    return nanos;
  }
}
