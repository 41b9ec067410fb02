package io.uccl.p2p.transport.tcp;

import io.uccl.p2p.spi.CompletionBuffer;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Frames on their way out of a socket: headers and small payloads pass through a staging buffer,
 * large payloads are read straight into registered memory.
 *
 * <p>After a large payload no more than the next header is staged, because what follows is probably
 * large too and should not be copied.
 */
final class TcpReceiver {

  /** What a receiver hands its frames to. */
  interface Frames {
    /**
     * Looks at a header and decides where its payload goes with {@link #into} or {@link #discard}.
     *
     * @throws IOException if the peer breaks the protocol
     */
    void onHeader(TcpReceiver receiver, ByteBuffer from, int at, CompletionBuffer completions)
        throws IOException;

    /**
     * The payload of the last header is complete.
     *
     * @throws IOException if the peer breaks the protocol
     */
    void onPayload(CompletionBuffer completions) throws IOException;
  }

  private static final int STAGING_BYTES = 128 << 10;
  private static final int SINK_BYTES = 64 << 10;
  private static final int READS_PER_TURN = 16;

  private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

  private ByteBuffer staging =
      ByteBuffer.allocateDirect(STAGING_BYTES).order(ByteOrder.LITTLE_ENDIAN);
  private final ByteBuffer[] scatter = new ByteBuffer[2];
  private @Nullable ByteBuffer sink;
  private int head;
  private int tail;

  /** The last payload was large, and probably so is the next: stage no more than its header. */
  private boolean lean;

  private boolean waitingForRoom;

  /** Bytes that the last read had room for. */
  private int asked;

  private int payloadLeft;
  private @Nullable TcpMemory target;
  private long targetOffset;
  private @Nullable ByteBuffer view;
  private long viewOffset;

  private long received;

  /** Bytes received so far. */
  long received() {
    return received;
  }

  /** True if frames are staged that the completion buffer had no room for. */
  boolean isWaitingForRoom() {
    return waitingForRoom;
  }

  /** The payload of the present header goes into a region. */
  void into(TcpMemory memory, long offset, int length) {
    target = memory;
    targetOffset = offset;
    payloadLeft = length;
  }

  /** The payload of the present header goes nowhere. */
  void discard(int length) {
    target = null;
    payloadLeft = length;
  }

  /** Lets go of a region: what still arrives for it goes nowhere. */
  boolean abandon(TcpMemory memory) {
    if (target != memory) {
      return false;
    }
    releaseView();
    target = null;
    return true;
  }

  /** Gives views back and lets go of the buffers; nothing more will be read. */
  void close() {
    releaseView();
    target = null;
    payloadLeft = 0;
    // A connection that has ended may be kept for long; its buffers must not be.
    staging = NOTHING;
    Arrays.fill(scatter, NOTHING);
    sink = null;
    waitingForRoom = false;
  }

  /**
   * Reads and handles what is there, up to a bound that keeps it fair to other channels.
   *
   * @return true if anything was read or handled
   * @throws IOException if the connection broke or the peer breaks the protocol
   */
  boolean receive(SocketChannel socket, Frames frames, CompletionBuffer completions)
      throws IOException {
    boolean moved = waitingForRoom;
    for (int i = 0; i < READS_PER_TURN; i++) {
      waitingForRoom = !handleStaged(frames, completions);
      if (waitingForRoom) {
        return moved;
      }
      boolean direct = payloadLeft > TcpSender.MAX_SMALL;
      long read = direct ? readDirect(socket) : readStaged(socket);
      if (read < 0) {
        throw new EOFException("the peer closed the data connection");
      }
      if (read == 0) {
        return moved;
      }
      received += read;
      moved = true;
      if (direct && payloadLeft == 0) {
        endPayload(frames, completions);
      }
      if (read < asked) {
        // The socket is empty. To hear that from another read would delay the answers to these.
        break;
      }
    }
    waitingForRoom = !handleStaged(frames, completions);
    return moved;
  }

  private long readDirect(SocketChannel socket) throws IOException {
    // Everything staged was handled, and it was all payload.
    head = 0;
    tail = 0;
    ByteBuffer to = destination();
    int before = to.position();
    staging.limit(TcpFrame.HEADER_BYTES).position(0);
    scatter[0] = to;
    scatter[1] = staging;
    boolean whole = to.remaining() == payloadLeft;
    asked = to.remaining() + (whole ? TcpFrame.HEADER_BYTES : 0);
    long read = socket.read(scatter, 0, whole ? 2 : 1);
    scatter[0] = staging;
    int placed = to.position() - before;
    payloadLeft -= placed;
    targetOffset += placed;
    tail = staging.position();
    if (payloadLeft == 0 || target == null) {
      releaseView();
    }
    return read;
  }

  private ByteBuffer destination() {
    if (target == null) {
      if (sink == null) {
        sink = ByteBuffer.allocateDirect(SINK_BYTES);
      }
      return sink.clear().limit(Math.min(SINK_BYTES, payloadLeft));
    }
    if (view == null) {
      viewOffset = targetOffset;
      view = target.acquire(targetOffset, payloadLeft);
    }
    return view;
  }

  private long readStaged(SocketChannel socket) throws IOException {
    if (head > 0) {
      if (head < tail) {
        staging.limit(tail).position(head);
        staging.compact();
      }
      tail -= head;
      head = 0;
    }
    int most = lean && payloadLeft == 0 ? TcpFrame.HEADER_BYTES : STAGING_BYTES;
    staging.limit(most).position(tail);
    asked = most - tail;
    long read = socket.read(staging);
    tail = staging.position();
    return read;
  }

  /** Returns false if the completion buffer has no room to go on. */
  private boolean handleStaged(Frames frames, CompletionBuffer completions) throws IOException {
    while (true) {
      if (completions.remaining() == 0) {
        return false;
      }
      int staged = tail - head;
      if (payloadLeft > 0) {
        int piece = Math.min(staged, payloadLeft);
        if (piece == 0) {
          return true;
        }
        if (target != null) {
          target.copyIn(targetOffset, piece, staging, head);
          targetOffset += piece;
        }
        head += piece;
        payloadLeft -= piece;
        if (payloadLeft == 0) {
          endPayload(frames, completions);
        }
      } else if (staged < TcpFrame.HEADER_BYTES) {
        return true;
      } else {
        int at = head;
        head += TcpFrame.HEADER_BYTES;
        frames.onHeader(this, staging, at, completions);
        lean = payloadLeft > TcpSender.MAX_SMALL;
        if (payloadLeft == 0) {
          endPayload(frames, completions);
        }
      }
    }
  }

  private void endPayload(Frames frames, CompletionBuffer completions) throws IOException {
    // Its last bytes may have come through the staging buffer.
    releaseView();
    target = null;
    frames.onPayload(completions);
  }

  private void releaseView() {
    if (view != null && target != null) {
      target.release(viewOffset, view);
    }
    view = null;
  }
}
