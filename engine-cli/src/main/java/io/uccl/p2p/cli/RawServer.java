package io.uccl.p2p.cli;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProtocolException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.security.SecureRandom;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The target of the raw copy: serves one initiator after the other on a thread of its own. Between
 * runs that thread is blocked in the kernel.
 *
 * <p>Only who knows the {@link #token} may copy.
 */
final class RawServer implements AutoCloseable {

  private final ServerSocketChannel listener;
  private final Footprint memory;
  private final Consumer<String> log;
  private final long token = new SecureRandom().nextLong();
  private final Thread thread;
  private volatile @Nullable SocketChannel current;
  private volatile boolean closed;

  private RawServer(ServerSocketChannel listener, Footprint memory, Consumer<String> log) {
    this.listener = listener;
    this.memory = memory;
    this.log = log;
    this.thread = new Thread(this::serveAll, "p2p-bench-limit");
    thread.setDaemon(true);
  }

  /**
   * Listens on a port that the system chooses.
   *
   * @param memory read from and written to
   * @param log takes a line when a stranger connects, or nobody can any more
   */
  static RawServer open(InetAddress address, Footprint memory, Consumer<String> log)
      throws IOException {
    ServerSocketChannel listener = ServerSocketChannel.open();
    try {
      listener.bind(new InetSocketAddress(address, 0));
    } catch (IOException e) {
      listener.close();
      throw e;
    }
    RawServer server = new RawServer(listener, memory, log);
    server.thread.start();
    return server;
  }

  /** Where it listens. */
  int port() {
    return listener.socket().getLocalPort();
  }

  /** What an initiator must show. */
  long token() {
    return token;
  }

  /** Ends the copy and the thread. Idempotent. */
  @Override
  public void close() throws IOException {
    closed = true;
    listener.close();
    SocketChannel channel = current;
    if (channel != null) {
      channel.close();
    }
  }

  private void serveAll() {
    while (!closed) {
      try {
        serveNext(listener.accept());
      } catch (IOException e) {
        if (!closed) {
          log.accept("the raw copy listens no more: " + Failures.line(e));
        }
        return;
      }
    }
  }

  private void serveNext(SocketChannel next) throws IOException {
    try (SocketChannel channel = next) {
      current = channel;
      if (!closed) {
        serve(channel);
      }
    } catch (ProtocolException e) {
      log.accept("a connection to the port of the raw copy was ended: " + e.getMessage());
    } catch (IOException e) {
      // The initiator is done, or gone: then its connection to the engine says so.
    } finally {
      current = null;
    }
  }

  private void serve(SocketChannel channel) throws IOException {
    channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
    Shape prepared = new Shape(1, 1);
    RawEnd end = new RawEnd(channel, memory, prepared);
    while (true) {
      RawOrder order = RawOrder.receive(channel);
      if (order.token() != token || order.shape().totalBytes() > memory.length()) {
        throw new ProtocolException("its order was refused");
      }
      if (!order.shape().equals(prepared)) {
        prepared = order.shape();
        end = new RawEnd(channel, memory, prepared);
      }
      channel.write(ByteBuffer.allocate(1));
      channel.configureBlocking(order.variant() == Variant.BLOCKING);
      for (int i = 0; i < order.calls(); i++) {
        end.serve(order.mode());
      }
      channel.configureBlocking(true);
    }
  }
}
