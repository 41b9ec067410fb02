package io.uccl.p2p.cli;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * One end of the raw copy: moves a footprint over a socket, block by block on the way out, and as
 * the bytes come on the way in. Blocking or spinning, as its channel is set.
 *
 * <p>Blocks that are small go out several at a time, as they lie one after the other anyway: with a
 * system call for each of them this would be a weak limit, and an engine that gathers would beat it
 * tenfold.
 *
 * <p>Used by one thread at a time. The channel stays the caller's.
 */
final class RawEnd {

  /** For the target, whose initiator may have stopped; the initiator itself has less patience. */
  private static final long STUCK_NANOS = 60_000_000_000L;

  /** What goes out at a time has at least so many bytes, if there are more. */
  private static final int LEAST_PIECE = 256 << 10;

  private final SocketChannel channel;
  private final List<ByteBuffer> pieces;
  private final List<ByteBuffer> whole;
  private final ByteBuffer one = ByteBuffer.allocateDirect(1);
  private final AtomicLong moves = new AtomicLong();

  /**
   * Prepares the views, so that copying makes nothing new.
   *
   * @param memory at least {@code shape.totalBytes()}
   */
  RawEnd(SocketChannel channel, Footprint memory, Shape shape) {
    this.channel = channel;
    this.pieces = new ArrayList<>();
    long stride = blocksPerPiece(shape) * shape.size();
    for (long offset = 0; offset < shape.totalBytes(); offset += stride) {
      pieces.addAll(memory.views(offset, Math.min(stride, shape.totalBytes() - offset)));
    }
    this.whole = memory.views(0, shape.totalBytes());
  }

  /** One call as the initiator sees it, its answer included. */
  void initiate(Mode mode) throws IOException {
    if (mode == Mode.WRITE) {
      sendPieces();
      receiveByte();
    } else {
      sendByte();
      receiveAll();
    }
  }

  /** The same call as the target sees it. */
  void serve(Mode mode) throws IOException {
    if (mode == Mode.WRITE) {
      receiveAll();
      sendByte();
    } else {
      receiveByte();
      sendPieces();
    }
  }

  /** Grows while bytes move; any thread may look. */
  long moves() {
    return moves.get();
  }

  private static long blocksPerPiece(Shape shape) {
    return Math.min(shape.numIovs(), Math.max(1, (LEAST_PIECE - 1) / shape.size() + 1));
  }

  private void sendPieces() throws IOException {
    // Not for-each: this is the inside of what is measured.
    for (int i = 0; i < pieces.size(); i++) {
      send(pieces.get(i).clear());
    }
  }

  private void receiveAll() throws IOException {
    for (int i = 0; i < whole.size(); i++) {
      receive(whole.get(i).clear());
    }
  }

  private void sendByte() throws IOException {
    send(one.clear());
  }

  private void receiveByte() throws IOException {
    receive(one.clear());
  }

  private void send(ByteBuffer buffer) throws IOException {
    long stuckSince = 0;
    while (buffer.hasRemaining()) {
      stuckSince = channel.write(buffer) > 0 ? moved() : spin(stuckSince);
    }
  }

  private void receive(ByteBuffer buffer) throws IOException {
    long stuckSince = 0;
    while (buffer.hasRemaining()) {
      int count = channel.read(buffer);
      if (count < 0) {
        throw new EOFException("the peer ended the raw copy");
      }
      stuckSince = count > 0 ? moved() : spin(stuckSince);
    }
  }

  private long moved() {
    // One thread copies; the order that a volatile write would keep is not needed.
    moves.setRelease(moves.getPlain() + 1);
    return 0;
  }

  private static long spin(long stuckSince) throws IOException {
    if (Thread.interrupted()) {
      throw new ClosedByInterruptException();
    }
    Thread.onSpinWait();
    long now = System.nanoTime();
    if (stuckSince == 0) {
      return now == 0 ? 1 : now;
    }
    if (now - stuckSince > STUCK_NANOS) {
      throw new IOException("the raw copy made no progress for 60 seconds");
    }
    return stuckSince;
  }
}
