package com.example.p2p.unix;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.OpBuffer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;

/**
 * The socket to one peer: what is under way in both directions.
 *
 * <p>Outgoing frames come from jobs, which take turns: a job writes one frame into the buffer and,
 * if it has more, queues up again. So a small operation does not wait for the end of a large one.
 */
final class UnixChannel implements Channel {

  static final FailureDetail DETAIL = FailureDetail.NONE.withTransport(UnixTransportProvider.NAME);

  /** The most operations that a peer may have under way: the largest window of an engine. */
  private static final int MAX_ANSWERS = 256;

  private enum State {
    /** The peer's greeting has not come. */
    OPENING,
    READY,
    OVER
  }

  /** Something to send. */
  private interface Job {
    /** Appends one frame; returns true if that was the last. */
    boolean appendTo(ByteBuffer out);
  }

  /** An operation of this process that the peer has not answered yet. */
  private static final class Operation {
    long id;
    boolean isWrite;
    UnixMemory memory;
    long localOffset;
    long length;
    long address;
    int rid;
    long idx;
    long key;
    long moved;

    Frame frame(long number, int payload) {
      Frame.Kind kind = isWrite ? Frame.Kind.WRITE : Frame.Kind.READ;
      return new Frame(
          kind, Frame.Status.OK, number, idx, rid, payload, key, address, length, moved);
    }
  }

  private final UnixTransport transport;
  private final long cookie;
  private final long peerCookie;
  private final int window;
  private final Map<Long, Operation> operations = new HashMap<>();
  private final ArrayDeque<Job> jobs = new ArrayDeque<>();
  private final ByteBuffer in = ByteBuffer.allocate(4 * Frame.MAX_BYTES);
  private final ByteBuffer out = ByteBuffer.allocate(4 * Frame.MAX_BYTES);
  private State state = State.OPENING;
  private SocketChannel socket;
  private SelectionKey key;
  private P2pException failure;
  private long lastNumber;
  private int answers;
  private long progress;

  UnixChannel(UnixTransport transport, long cookie, long peerCookie, int window) {
    this.transport = transport;
    this.cookie = cookie;
    this.peerCookie = peerCookie;
    this.window = window;
  }

  // -- what the engine calls

  @Override
  public int post(OpBuffer slots, int first, int count) {
    int taken = Math.min(count, window - operations.size());
    for (int i = first; i < first + taken; i++) {
      Operation operation = new Operation();
      operation.id = slots.id(i);
      operation.isWrite = slots.opcode(i) == OpBuffer.WRITE;
      operation.memory = (UnixMemory) slots.memory(i);
      operation.localOffset = slots.localOffset(i);
      operation.length = slots.length(i);
      operation.address = slots.remoteAddress(i);
      operation.rid = slots.remoteRid(i);
      operation.idx = slots.remoteIdx(i);
      operation.key = slots.remoteOwn(i, 0);
      start(operation);
    }
    return taken;
  }

  private void start(Operation operation) {
    if (state == State.OVER) {
      transport.report(operation.id, failure);
      return;
    }
    long number = ++lastNumber;
    operations.put(number, operation);
    jobs.add(
        operation.isWrite
            ? buffer -> appendPiece(number, operation, buffer)
            : buffer -> appendOnly(operation.frame(number, 0), buffer));
  }

  @Override
  public long progress() {
    return progress;
  }

  /** What the engine closes is not reported as failed; the operations on it are. */
  @Override
  public void close() {
    end(new ResourceClosedException("the connection was closed", DETAIL));
  }

  // -- coming about and ending

  long cookie() {
    return cookie;
  }

  /** True if a socket with this greeting is the one that this channel waits for. */
  boolean expects(Frame greeting) {
    return state == State.OPENING
        && socket == null
        && greeting.kind() == Frame.Kind.HELLO
        && greeting.id() == cookie
        && greeting.key() == peerCookie;
  }

  /** Takes a socket over, and greets. */
  void attach(SocketChannel connected, SelectionKey selection) {
    socket = connected;
    key = selection;
    key.attach((Runnable) this::receive);
    jobs.add(buffer -> appendOnly(Frame.hello(peerCookie, cookie), buffer));
  }

  void becomeReady() {
    state = State.READY;
    transport.reportReady(this);
  }

  /** Ends it because something went wrong; the engine is told, once. */
  void fail(P2pException cause) {
    if (state != State.OVER) {
      transport.reportFailed(this, cause);
      end(cause);
    }
  }

  /** Every operation that was taken and not reported is reported here. */
  private void end(P2pException cause) {
    if (state == State.OVER) {
      return;
    }
    state = State.OVER;
    failure = cause;
    jobs.clear();
    operations.values().forEach(operation -> transport.report(operation.id, cause));
    operations.clear();
    UnixTransport.closeQuietly(socket);
    transport.forget(this);
  }

  private void fail(IOException cause) {
    String why = cause.getMessage() == null ? cause.toString() : cause.getMessage();
    fail(
        state == State.OPENING
            ? new PeerUnreachableException("the peer did not greet: " + why, DETAIL, cause)
            : new PeerLostException("the connection broke: " + why, DETAIL, cause));
  }

  // -- sending

  /** Before the transport blocks: says what it should wake up for. */
  void awaitReadiness() {
    if (key != null) {
      boolean output = out.position() > 0 || !jobs.isEmpty();
      key.interestOps(output ? SelectionKey.OP_READ | SelectionKey.OP_WRITE : SelectionKey.OP_READ);
    }
  }

  /** Sends what the socket takes at the moment. */
  void send() {
    if (socket == null) {
      return;
    }
    while (!jobs.isEmpty() && out.remaining() >= Frame.MAX_BYTES) {
      Job job = jobs.remove();
      if (!job.appendTo(out)) {
        jobs.add(job);
      }
    }
    try {
      out.flip();
      moved(socket.write(out));
      out.compact();
    } catch (IOException e) {
      fail(e);
    }
  }

  private static boolean appendOnly(Frame frame, ByteBuffer buffer) {
    frame.encode(buffer);
    return true;
  }

  /** The next piece of a write. */
  private static boolean appendPiece(long number, Operation operation, ByteBuffer buffer) {
    int size = (int) Math.min(operation.length - operation.moved, Frame.MAX_PAYLOAD);
    operation.frame(number, size).encode(buffer);
    buffer.put(operation.memory.piece(operation.localOffset + operation.moved, size));
    operation.moved += size;
    return operation.moved == operation.length;
  }

  private void answer(Frame request, Frame.Status status) throws IOException {
    answerBy(buffer -> appendOnly(Frame.answer(request.id(), status), buffer));
  }

  private void answerBy(Job job) throws IOException {
    if (++answers > MAX_ANSWERS) {
      throw new IOException("the peer has more than " + MAX_ANSWERS + " operations under way");
    }
    jobs.add(
        buffer -> {
          boolean last = job.appendTo(buffer);
          answers -= last ? 1 : 0;
          return last;
        });
  }

  private void moved(int bytes) {
    progress += bytes;
    transport.moved(bytes);
  }

  // -- receiving

  /** Takes what has come, and does what each complete frame asks for. */
  void receive() {
    try {
      int count = socket.read(in);
      if (count < 0) {
        throw new IOException("the peer closed it");
      }
      moved(count);
      in.flip();
      while (in.remaining() >= Frame.HEADER_BYTES) {
        Frame frame = Frame.decode(in);
        int bytes = Frame.HEADER_BYTES + frame.payload();
        if (in.remaining() < bytes) {
          break;
        }
        handle(frame, in.slice(in.position() + Frame.HEADER_BYTES, frame.payload()));
        in.position(in.position() + bytes);
      }
      in.compact();
    } catch (IOException e) {
      fail(e);
    }
  }

  private void handle(Frame frame, ByteBuffer payload) throws IOException {
    if (state == State.OPENING) {
      if (!frame.equals(Frame.hello(cookie, peerCookie))) {
        throw new IOException("something else answered than the peer");
      }
      becomeReady();
      return;
    }
    switch (frame.kind()) {
      case HELLO -> throw new IOException("the peer greeted twice");
      case WRITE -> targetOfWrite(frame, payload);
      case READ -> targetOfRead(frame);
      case DATA -> readArrives(frame, payload);
      case ANSWER -> answerArrives(frame);
    }
  }

  /** Each piece is checked anew: the region may have been closed since the last one. */
  private void targetOfWrite(Frame frame, ByteBuffer payload) throws IOException {
    UnixMemory memory = transport.memory(frame.rid());
    Frame.Status status = memory == null ? Frame.Status.NO_REGION : memory.check(frame);
    if (status == Frame.Status.OK) {
      long offset = memory.offsetOf(frame.address()) + frame.offset();
      memory.piece(offset, frame.payload()).put(payload);
    }
    if (frame.isLast()) {
      answer(frame, status);
    }
  }

  private void targetOfRead(Frame frame) throws IOException {
    UnixMemory memory = transport.memory(frame.rid());
    Frame.Status status = memory == null ? Frame.Status.NO_REGION : memory.check(frame);
    if (status == Frame.Status.OK) {
      answerBy(new Reply(frame.id(), memory, memory.offsetOf(frame.address()), frame.length()));
    } else {
      answer(frame, status);
    }
  }

  /** Sends a region's bytes to the peer that reads them, piece by piece. */
  private static final class Reply implements Job {
    private final long id;
    private final UnixMemory memory;
    private final long offset;
    private final long length;
    private long moved;

    Reply(long id, UnixMemory memory, long offset, long length) {
      this.id = id;
      this.memory = memory;
      this.offset = offset;
      this.length = length;
    }

    @Override
    public boolean appendTo(ByteBuffer out) {
      if (!memory.isOpen()) {
        return appendOnly(Frame.answer(id, Frame.Status.NO_REGION), out);
      }
      int size = (int) Math.min(length - moved, Frame.MAX_PAYLOAD);
      Frame.data(id, length, moved, size).encode(out);
      out.put(memory.piece(offset + moved, size));
      moved += size;
      return moved == length;
    }
  }

  private void readArrives(Frame frame, ByteBuffer payload) throws IOException {
    Operation read = operations.get(frame.id());
    if (read == null
        || read.isWrite
        || frame.length() != read.length
        || frame.offset() != read.moved) {
      throw new IOException("the peer sent bytes that nobody asked for");
    }
    read.memory.piece(read.localOffset + read.moved, frame.payload()).put(payload);
    read.moved += frame.payload();
    if (read.moved == read.length) {
      operations.remove(frame.id());
      transport.report(read.id, null);
    }
  }

  private void answerArrives(Frame frame) throws IOException {
    Operation operation = operations.get(frame.id());
    boolean ok = frame.status() == Frame.Status.OK;
    if (operation == null || (operation.isWrite ? operation.moved != operation.length : ok)) {
      throw new IOException("the peer answered what was not asked");
    }
    operations.remove(frame.id());
    transport.report(
        operation.id, ok ? null : new RemoteAccessException(frame.status().text, DETAIL));
  }
}
