package io.uccl.p2p.transport.tcp;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Data connections that were accepted and have not said yet which channel they belong to. Anyone
 * can open one, so their number and their time are bounded.
 */
final class TcpGreetings {

  private static final int MAX_WAITING = 256;
  private static final long MAX_NANOS = TimeUnit.SECONDS.toNanos(10);

  private final List<Greeting> waiting = new ArrayList<>();

  /** How far the greeting on a connection is. */
  enum Progress {
    INCOMPLETE,
    COMPLETE,
    /** It ended, or said something else. */
    BROKEN
  }

  boolean isEmpty() {
    return waiting.isEmpty();
  }

  void add(SocketChannel socket, SelectionKey key) {
    if (waiting.size() == MAX_WAITING) {
      waiting.remove(0).close();
    }
    Greeting greeting = new Greeting(socket);
    key.attach(greeting);
    waiting.add(greeting);
  }

  void remove(Greeting greeting) {
    waiting.remove(greeting);
  }

  /** Closes those that have waited too long; the oldest come first. */
  void expire() {
    while (!waiting.isEmpty() && System.nanoTime() - waiting.get(0).since > MAX_NANOS) {
      waiting.remove(0).close();
    }
  }

  void close() {
    waiting.forEach(Greeting::close);
    waiting.clear();
  }

  /** One such connection and what it has said so far. */
  static final class Greeting {

    private final SocketChannel socket;
    private final long since = System.nanoTime();
    private final ByteBuffer said =
        ByteBuffer.allocate(TcpFrame.HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);

    private Greeting(SocketChannel socket) {
      this.socket = socket;
    }

    SocketChannel socket() {
      return socket;
    }

    long acceptorCookie() {
      return TcpFrame.id(said, 0);
    }

    long connectorCookie() {
      return TcpFrame.address(said, 0);
    }

    /** Reads what is there, and nothing that comes after the greeting. */
    Progress read() {
      try {
        if (socket.read(said) < 0) {
          return Progress.BROKEN;
        }
      } catch (IOException e) {
        return Progress.BROKEN;
      }
      if (said.hasRemaining()) {
        return Progress.INCOMPLETE;
      }
      boolean right = TcpFrame.kind(said, 0) == TcpFrame.HELLO && TcpFrame.payload(said, 0) == 0;
      return right ? Progress.COMPLETE : Progress.BROKEN;
    }

    void close() {
      TcpTransport.closeQuietly(socket, new IOException("closing"));
    }
  }
}
