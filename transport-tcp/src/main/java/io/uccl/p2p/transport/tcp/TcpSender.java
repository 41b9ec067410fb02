package io.uccl.p2p.transport.tcp;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Frames on their way into a socket: headers and small payloads are copied into a slab, large
 * payloads are sent from registered memory, and all of it goes out in gathering writes.
 *
 * <p>A round is what is gathered until everything was written; only then does the slab start over.
 */
final class TcpSender {

  /** Payloads up to this size are copied: one system call more costs as much as the copy. */
  static final int MAX_SMALL = (16 << 10) - 1;

  private static final int SLAB_BYTES = 256 << 10;
  private static final int MAX_ENTRIES = 32;
  // What a small operation that arrives now waits for; more does not raise the throughput.
  private static final long ROUND_BYTES = 1 << 20;

  private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

  private ByteBuffer slab = ByteBuffer.allocateDirect(SLAB_BYTES).order(ByteOrder.LITTLE_ENDIAN);
  private final ByteBuffer[] slabViews = new ByteBuffer[MAX_ENTRIES];
  private final ByteBuffer[] gather = new ByteBuffer[MAX_ENTRIES];
  private final @Nullable TcpMemory[] memories = new @Nullable TcpMemory[MAX_ENTRIES];
  private final long[] offsets = new long[MAX_ENTRIES];
  private int entries;
  private int next;
  private int slabEnd;
  private int segmentStart;
  private long roundBytes;

  TcpSender() {
    for (int i = 0; i < MAX_ENTRIES; i++) {
      slabViews[i] = slab.duplicate();
    }
  }

  /** True if one more frame of any kind fits into the round. */
  boolean hasRoom() {
    return entries + 3 <= MAX_ENTRIES
        && slabEnd + TcpFrame.HEADER_BYTES + MAX_SMALL <= SLAB_BYTES
        && roundBytes < ROUND_BYTES;
  }

  /** True if everything was written. */
  boolean isEmpty() {
    return next == entries && slabEnd == segmentStart;
  }

  /** Adds a header. */
  void header(
      int kind,
      int flags,
      int status,
      int payload,
      long id,
      long address,
      long length,
      long offset,
      int rid,
      long idx,
      long key) {
    TcpFrame.put(
        slab, slabEnd, kind, flags, status, payload, id, address, length, offset, rid, idx, key);
    slabEnd += TcpFrame.HEADER_BYTES;
    roundBytes += TcpFrame.HEADER_BYTES;
  }

  /** Adds the payload of the header before it, by copy if it is small. */
  void payload(TcpMemory memory, long offset, int length) {
    if (length <= MAX_SMALL) {
      memory.copyOut(offset, length, slab, slabEnd);
      slabEnd += length;
    } else {
      seal();
      add(memory.acquire(offset, length), memory, offset);
    }
    roundBytes += length;
  }

  /** Writes as much as the socket takes, and returns how much that was. */
  long write(SocketChannel socket) throws IOException {
    seal();
    long written =
        entries - next == 1
            ? socket.write(gather[next])
            : socket.write(gather, next, entries - next);
    while (next < entries && !gather[next].hasRemaining()) {
      release(next++);
    }
    if (next == entries) {
      entries = 0;
      next = 0;
      slabEnd = 0;
      segmentStart = 0;
      roundBytes = 0;
    }
    return written;
  }

  /** Lets go of a region: what is still to be sent of it is copied, so that frames stay whole. */
  void abandon(TcpMemory memory) {
    for (int i = next; i < entries; i++) {
      if (memories[i] == memory) {
        ByteBuffer rest = ByteBuffer.allocateDirect(gather[i].remaining());
        rest.put(gather[i]).flip();
        release(i);
        gather[i] = rest;
      }
    }
  }

  /** Gives all views back and lets go of the slab; nothing more will be written. */
  void close() {
    while (next < entries) {
      release(next++);
    }
    // A connection that has ended may be kept for long; its buffers must not be.
    slab = NOTHING;
    Arrays.fill(slabViews, NOTHING);
    Arrays.fill(gather, NOTHING);
  }

  private void seal() {
    if (slabEnd > segmentStart) {
      ByteBuffer view = slabViews[entries];
      view.limit(slabEnd).position(segmentStart);
      add(view, null, 0);
      segmentStart = slabEnd;
    }
  }

  private void add(ByteBuffer bytes, @Nullable TcpMemory memory, long offset) {
    gather[entries] = bytes;
    memories[entries] = memory;
    offsets[entries] = offset;
    entries++;
  }

  private void release(int entry) {
    TcpMemory memory = memories[entry];
    if (memory != null) {
      memory.release(offsets[entry], gather[entry]);
      memories[entry] = null;
      // An idle sender must not keep the memory of a closed region mapped.
      gather[entry] = slab;
    }
  }
}
