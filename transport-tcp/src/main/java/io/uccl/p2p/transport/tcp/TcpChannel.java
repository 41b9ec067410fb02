package io.uccl.p2p.transport.tcp;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.CompletionBuffer;
import io.uccl.p2p.spi.OpBuffer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The data connection to one peer: which operations are under way in both directions, and what goes
 * out next.
 *
 * <p>Acknowledgements go first, then small operations, then large ones frame by frame. Large ones
 * take turns, a quantum each.
 */
final class TcpChannel implements Channel, TcpReceiver.Frames {

  /** What to do when there is no memory: all buffers are off-heap, and that limit is met first. */
  static final String MEMORY_REMEDY = "Close connections, or raise -XX:MaxDirectMemorySize";

  /** The most operations that a peer may have under way: the bound of the engine's window. */
  private static final int MAX_PEER_OPERATIONS = 256;

  private static final long QUANTUM_BYTES = 4L << 20;
  private static final int SMALL_IN_A_ROW = 32;
  private static final int ROUNDS_PER_TURN = 8;

  private enum State {
    /** The other side's data connection, or the answer on ours, has not come yet. */
    OPENING,
    READY,
    /** Over; outstanding operations are being reported. */
    ENDED
  }

  private final TcpTransport transport;
  private final InetSocketAddress peer;
  private final long ownCookie;
  private final long peerCookie;
  private final TcpSender sender = new TcpSender();
  private final TcpReceiver receiver = new TcpReceiver();

  private final TcpOperation[] operations;
  private final int[] freeOperations;
  private int freeCount;

  private final List<TcpOperation> freeReplies = new ArrayList<>();
  private int replies;

  private final TcpOperationQueue small = new TcpOperationQueue();
  private final TcpOperationQueue large = new TcpOperationQueue();
  private long quantumLeft = QUANTUM_BYTES;
  private int smallInARow;

  // Acknowledgements that wait for room: ids and statuses, a ring.
  private final long[] doneIds = new long[2 * MAX_PEER_OPERATIONS];
  private final int[] doneStatuses = new int[2 * MAX_PEER_OPERATIONS];
  private int doneHead;
  private int doneCount;

  private State state = State.OPENING;
  private @Nullable SocketChannel socket;
  private @Nullable SocketChannel dialling;
  private @Nullable SelectionKey key;
  private @Nullable P2pException failure;
  private boolean failureReported;
  private int reported;
  private long sent;

  /** True while the transport has this channel in its list of those with something to do. */
  boolean scheduled;

  // The frame whose payload is arriving.
  private int frameKind;
  private boolean frameLast;
  private long frameId;
  private int frameStatus;
  private int framePayload;

  TcpChannel(
      TcpTransport transport,
      InetSocketAddress peer,
      long ownCookie,
      long peerCookie,
      int maxInflight) {
    this.transport = transport;
    this.peer = peer;
    this.ownCookie = ownCookie;
    this.peerCookie = peerCookie;
    operations = new TcpOperation[maxInflight];
    freeOperations = new int[maxInflight];
    for (int i = 0; i < maxInflight; i++) {
      operations[i] = new TcpOperation(i);
      freeOperations[i] = i;
    }
    freeCount = maxInflight;
  }

  // -- Channel

  @Override
  public int post(OpBuffer ops, int first, int count) {
    int taken = Math.min(count, freeCount);
    for (int i = first; i < first + taken; i++) {
      TcpOperation operation = operations[freeOperations[--freeCount]];
      operation.kind =
          ops.opcode(i) == OpBuffer.READ ? TcpOperation.Kind.READ : TcpOperation.Kind.WRITE;
      operation.id = ops.id(i);
      operation.memory = (TcpMemory) ops.memory(i);
      operation.localOffset = ops.localOffset(i);
      operation.length = ops.length(i);
      operation.address = ops.remoteAddress(i);
      operation.rid = ops.remoteRid(i);
      operation.idx = ops.remoteIdx(i);
      operation.key = ops.remoteOwn(i, 0);
      operation.moved = 0;
      if (state != State.ENDED) {
        queue(operation);
      }
    }
    transport.schedule(this);
    return taken;
  }

  @Override
  public long progress() {
    return sent + receiver.received();
  }

  @Override
  public void close() {
    if (state != State.ENDED) {
      failureReported = true;
      end(new ResourceClosedException("the connection was closed", detail()));
    }
  }

  // -- for the transport

  InetSocketAddress peer() {
    return peer;
  }

  long ownCookie() {
    return ownCookie;
  }

  long peerCookie() {
    return peerCookie;
  }

  boolean isReady() {
    return state == State.READY;
  }

  /** True if nothing is left to report, and the transport can forget the channel. */
  boolean isOver() {
    return state == State.ENDED && failureReported && freeCount == operations.length;
  }

  /** True if only a failure, or nothing but failures, remains to be reported. */
  boolean hasReports() {
    return state == State.ENDED && !isOver();
  }

  /** Replies to the peer's reads that were ever under way at once. */
  int replyCount() {
    return replies;
  }

  boolean isConnecting() {
    return state == State.OPENING && key == null;
  }

  /** The socket that is being connected, so that an early end closes it. */
  void connecting(SocketChannel unconnected) {
    dialling = unconnected;
  }

  /** Takes over a connected socket; the acceptor greets back and is ready, the connector greets. */
  void attach(SocketChannel connected, SelectionKey selection, boolean acceptor) {
    socket = connected;
    key = selection;
    dialling = null;
    int kind = acceptor ? TcpFrame.WELCOME : TcpFrame.HELLO;
    sender.header(kind, 0, 0, 0, peerCookie, ownCookie, 0, 0, 0, 0, 0);
    if (acceptor) {
      state = State.READY;
    }
    transport.schedule(this);
  }

  /** Ends the channel; the first cause stays. */
  void end(P2pException cause) {
    if (state == State.ENDED) {
      return;
    }
    state = State.ENDED;
    failure = cause;
    sender.close();
    receiver.close();
    small.clear();
    large.clear();
    transport.disconnect(this, socket != null ? socket : dialling);
    transport.schedule(this);
  }

  void endBecause(Exception cause) {
    String what = cause.getMessage() == null ? cause.toString() : cause.getMessage();
    end(
        state == State.OPENING
            ? new PeerUnreachableException(
                "the data connection could not be made: " + what,
                detail()
                    .withRemedy("Check that nothing filters the peer's data port, and its address"),
                cause)
            : new PeerLostException(
                "the data connection broke: " + what,
                detail().withRemedy("See whether the peer still runs, and connect again"),
                cause));
  }

  private void endForWantOfMemory(OutOfMemoryError cause) {
    end(
        new TransportException(
            "there is no memory for the data connection: " + cause.getMessage(),
            detail().withRemedy(MEMORY_REMEDY),
            cause));
  }

  /** Lets go of a region that is being closed. */
  void abandon(TcpMemory memory) {
    // First, since it needs no memory: from now on nothing of the peer's lands in the region.
    if (receiver.abandon(memory)) {
      frameStatus = TcpFrame.STATUS_NO_REGION;
    }
    try {
      sender.abandon(memory);
    } catch (OutOfMemoryError e) {
      // A frame that cannot be finished without the region is not finished.
      endForWantOfMemory(e);
    }
  }

  /** Whether there is anything to send that the socket did not take. */
  boolean hasOutput() {
    return state != State.ENDED
        && socket != null
        && (!sender.isEmpty() || doneCount > 0 || !small.isEmpty() || !large.isEmpty());
  }

  boolean hasStagedInput() {
    return receiver.isWaitingForRoom();
  }

  /** Sets what a blocking select waits for. */
  void awaitOutput(boolean wanted) {
    if (key != null && key.isValid()) {
      key.interestOps(wanted ? SelectionKey.OP_READ | SelectionKey.OP_WRITE : SelectionKey.OP_READ);
    }
  }

  /** Sends what the socket takes, or reports what remains of an ended channel. */
  boolean advance(CompletionBuffer completions) {
    if (state == State.ENDED) {
      return report(completions);
    }
    if (socket == null) {
      return false;
    }
    boolean moved = false;
    try {
      for (int i = 0; i < ROUNDS_PER_TURN; i++) {
        fill();
        if (sender.isEmpty()) {
          return moved;
        }
        long written = sender.write(socket);
        sent += written;
        moved |= written > 0;
        if (!sender.isEmpty()) {
          return moved;
        }
      }
    } catch (IOException e) {
      endBecause(e);
    } catch (OutOfMemoryError e) {
      endForWantOfMemory(e);
    }
    return moved;
  }

  /** Receives what is there. */
  boolean receive(CompletionBuffer completions) {
    if (state == State.ENDED || socket == null) {
      return false;
    }
    try {
      return receiver.receive(socket, this, completions);
    } catch (IOException e) {
      endBecause(e);
      return true;
    } catch (OutOfMemoryError e) {
      endForWantOfMemory(e);
      return true;
    }
  }

  // -- frames that arrive

  @Override
  public void onHeader(TcpReceiver from, ByteBuffer header, int at, CompletionBuffer completions)
      throws IOException {
    frameKind = TcpFrame.kind(header, at);
    frameLast = TcpFrame.last(header, at);
    frameId = TcpFrame.id(header, at);
    frameStatus = TcpFrame.status(header, at);
    framePayload = TcpFrame.payload(header, at);
    if (framePayload < 0 || framePayload > TcpFrame.MAX_PAYLOAD) {
      throw broken("a payload of " + framePayload + " bytes");
    }
    if (state == State.OPENING) {
      if (frameKind != TcpFrame.WELCOME || framePayload != 0 || frameId != ownCookie) {
        throw broken("a greeting that is none");
      }
      state = State.READY;
      completions.ready(this);
      return;
    }
    switch (frameKind) {
      case TcpFrame.WRITE -> onWrite(from, header, at);
      case TcpFrame.READ -> onRead(header, at);
      case TcpFrame.DATA -> onData(from, header, at);
      case TcpFrame.DONE -> onDone(completions);
      default -> throw broken("a frame of kind " + frameKind);
    }
  }

  @Override
  public void onPayload(CompletionBuffer completions) throws IOException {
    if (frameKind == TcpFrame.WRITE && frameLast) {
      acknowledge(frameId, frameStatus);
    } else if (frameKind == TcpFrame.DATA) {
      TcpOperation operation = own(frameId, TcpOperation.Kind.READ);
      operation.moved += framePayload;
      if (operation.moved == operation.length) {
        long id = operation.id;
        free(operation);
        completions.done(id);
      }
    }
  }

  private void onWrite(TcpReceiver from, ByteBuffer header, int at) throws IOException {
    long length = TcpFrame.length(header, at);
    long offset = TcpFrame.offset(header, at);
    if (length < 0 || offset < 0 || framePayload > length - offset) {
      throw broken("a piece of " + framePayload + " bytes at " + offset + " of " + length);
    }
    long address = TcpFrame.address(header, at);
    TcpMemory memory = transport.memory(TcpFrame.rid(header, at));
    frameStatus =
        memory == null
            ? TcpFrame.STATUS_NO_REGION
            : memory.check(
                true, TcpFrame.idx(header, at), TcpFrame.key(header, at), address, length);
    if (memory == null || frameStatus != TcpFrame.STATUS_OK) {
      from.discard(framePayload);
    } else {
      from.into(memory, memory.offsetOf(address) + offset, framePayload);
    }
  }

  private void onRead(ByteBuffer header, int at) throws IOException {
    if (framePayload != 0) {
      throw broken("a read request with a payload");
    }
    long address = TcpFrame.address(header, at);
    long length = TcpFrame.length(header, at);
    TcpMemory memory = transport.memory(TcpFrame.rid(header, at));
    int status =
        memory == null
            ? TcpFrame.STATUS_NO_REGION
            : memory.check(
                false, TcpFrame.idx(header, at), TcpFrame.key(header, at), address, length);
    if (memory == null || status != TcpFrame.STATUS_OK) {
      acknowledge(frameId, status);
      return;
    }
    TcpOperation reply = takeReply();
    reply.kind = TcpOperation.Kind.REPLY;
    reply.id = frameId;
    reply.memory = memory;
    reply.localOffset = memory.offsetOf(address);
    reply.length = length;
    queue(reply);
    transport.schedule(this);
  }

  private void onData(TcpReceiver from, ByteBuffer header, int at) throws IOException {
    TcpOperation operation = own(frameId, TcpOperation.Kind.READ);
    long offset = TcpFrame.offset(header, at);
    if (offset != operation.moved || framePayload > operation.length - offset) {
      throw broken(
          "a piece of "
              + framePayload
              + " bytes at "
              + offset
              + " of a read of "
              + operation.length);
    }
    if (framePayload == 0 && operation.length != 0) {
      throw broken("an empty piece of a read");
    }
    from.into(operation.memory(), operation.localOffset + offset, framePayload);
  }

  private void onDone(CompletionBuffer completions) throws IOException {
    if (framePayload != 0) {
      throw broken("an acknowledgement with a payload");
    }
    TcpOperation operation = own(frameId, null);
    if (frameStatus == TcpFrame.STATUS_OK && operation.kind != TcpOperation.Kind.WRITE) {
      throw broken("an acknowledgement of a read");
    }
    long id = operation.id;
    free(operation);
    if (frameStatus == TcpFrame.STATUS_OK) {
      completions.done(id);
    } else {
      completions.failed(
          id,
          new RemoteAccessException(
              TcpFrame.describeStatus(frameStatus),
              detail().withRemedy(TcpFrame.remedyFor(frameStatus))));
    }
  }

  private TcpOperation own(long wireId, TcpOperation.@Nullable Kind kind) throws IOException {
    int slot = (int) wireId;
    if (slot >= 0 && slot < operations.length) {
      TcpOperation operation = operations[slot];
      if (operation.isActive()
          && operation.wireId() == wireId
          && (kind == null || operation.kind == kind)) {
        if (!operation.framed) {
          // It is still queued here: to end it now would leave a dead operation in the queue.
          throw broken("an answer to operation " + Long.toHexString(wireId) + " ahead of its end");
        }
        return operation;
      }
    }
    throw broken("a frame for operation " + Long.toHexString(wireId) + ", which is not under way");
  }

  private void acknowledge(long id, int status) throws IOException {
    if (doneCount == doneIds.length) {
      throw broken("more operations than the window allows");
    }
    int at = (doneHead + doneCount) % doneIds.length;
    doneIds[at] = id;
    doneStatuses[at] = status;
    doneCount++;
    transport.schedule(this);
  }

  private TcpOperation takeReply() throws IOException {
    if (!freeReplies.isEmpty()) {
      return freeReplies.remove(freeReplies.size() - 1);
    }
    if (replies == MAX_PEER_OPERATIONS) {
      throw broken("more reads than the window allows");
    }
    return new TcpOperation(replies++);
  }

  // -- frames that go out

  private void queue(TcpOperation operation) {
    boolean oneFrame =
        operation.kind == TcpOperation.Kind.READ || operation.length <= TcpSender.MAX_SMALL;
    (oneFrame ? small : large).add(operation);
  }

  private void fill() throws IOException {
    while (sender.hasRoom()) {
      if (doneCount > 0) {
        sender.header(
            TcpFrame.DONE,
            TcpFrame.FLAG_LAST,
            doneStatuses[doneHead],
            0,
            doneIds[doneHead],
            0,
            0,
            0,
            0,
            0,
            0);
        doneHead = (doneHead + 1) % doneIds.length;
        doneCount--;
        continue;
      }
      TcpOperation first = small.peek();
      if (first != null && (smallInARow < SMALL_IN_A_ROW || large.isEmpty())) {
        smallInARow++;
        small.removeFirst();
        frame(first);
        retireReply(first);
        continue;
      }
      smallInARow = 0;
      first = large.peek();
      if (first == null) {
        return;
      }
      long before = first.moved;
      boolean finished = frame(first);
      quantumLeft -= first.moved - before;
      if (finished) {
        large.removeFirst();
        retireReply(first);
        quantumLeft = QUANTUM_BYTES;
      } else if (quantumLeft <= 0) {
        large.removeFirst();
        large.add(first);
        quantumLeft = QUANTUM_BYTES;
      }
    }
  }

  /** Adds the next frame of an operation; returns true if it was the last. */
  private boolean frame(TcpOperation operation) throws IOException {
    if (operation.kind == TcpOperation.Kind.READ) {
      sender.header(
          TcpFrame.READ,
          TcpFrame.FLAG_LAST,
          0,
          0,
          operation.wireId(),
          operation.address,
          operation.length,
          0,
          operation.rid,
          operation.idx,
          operation.key);
      operation.framed = true;
      return true;
    }
    boolean reply = operation.kind == TcpOperation.Kind.REPLY;
    TcpMemory memory = operation.memory();
    if (reply && memory.isClosed()) {
      acknowledge(operation.id, TcpFrame.STATUS_NO_REGION);
      return true;
    }
    long offset = operation.moved;
    int payload = (int) Math.min(TcpFrame.MAX_PAYLOAD, operation.length - offset);
    boolean last = offset + payload == operation.length;
    sender.header(
        reply ? TcpFrame.DATA : TcpFrame.WRITE,
        last ? TcpFrame.FLAG_LAST : 0,
        0,
        payload,
        reply ? operation.id : operation.wireId(),
        operation.address,
        operation.length,
        offset,
        operation.rid,
        operation.idx,
        operation.key);
    if (payload > 0) {
      sender.payload(memory, operation.localOffset + offset, payload);
    }
    operation.moved += payload;
    operation.framed = last;
    return last;
  }

  // -- the end

  private boolean report(CompletionBuffer completions) {
    P2pException cause = failure;
    if (cause == null) {
      throw new IllegalStateException("a channel ended without a cause");
    }
    boolean moved = false;
    if (!failureReported) {
      failureReported = true;
      completions.failed(this, cause);
      moved = true;
    }
    // Posts may still come after the end: the walk starts over whenever it came to its end.
    while (freeCount < operations.length && completions.remaining() > 0) {
      TcpOperation operation = operations[reported];
      reported = (reported + 1) % operations.length;
      if (operation.isActive()) {
        long id = operation.id;
        free(operation);
        completions.failed(id, cause);
        moved = true;
      }
    }
    return moved;
  }

  private void free(TcpOperation operation) {
    operation.retire();
    freeOperations[freeCount++] = operation.slot;
  }

  private void retireReply(TcpOperation operation) {
    if (operation.kind == TcpOperation.Kind.REPLY) {
      operation.retire();
      freeReplies.add(operation);
    }
  }

  private FailureDetail detail() {
    return FailureDetail.NONE
        .withTransport(TcpTransportProvider.NAME)
        .withPeer(peer.getAddress().getHostAddress() + ":" + peer.getPort());
  }

  private static IOException broken(String what) {
    return new IOException("the peer broke the protocol: it sent " + what);
  }
}
