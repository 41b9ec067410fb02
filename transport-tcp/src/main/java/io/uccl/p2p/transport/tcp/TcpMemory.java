package io.uccl.p2p.transport.tcp;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * A registered region: its key, and buffers with positions of their own for the socket calls.
 *
 * <p>Only the transport's owner may touch the views; {@link #describe} is for any thread.
 */
final class TcpMemory implements RegisteredMemory {

  private final TcpTransport transport;
  private final RegionName name;
  private final MemorySpan span;
  private final long key;
  private final ViewPool[] views;
  private boolean closed;

  TcpMemory(TcpTransport transport, RegionName name, MemorySpan span, long key) {
    this.transport = transport;
    this.name = name;
    this.span = span;
    this.key = key;
    this.views = new ViewPool[span.windowCount()];
    for (int i = 0; i < views.length; i++) {
      views[i] = new ViewPool(span.window(i));
    }
  }

  @Override
  public FifoDescriptor describe(long offset, long length) {
    return FifoDescriptor.of(
        span.address() + offset,
        length,
        0,
        name.rid(),
        name.idx(),
        key,
        span.address(),
        span.length());
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      transport.forget(this);
    }
  }

  int rid() {
    return name.rid();
  }

  boolean isClosed() {
    return closed;
  }

  /** Whether a peer may do this, and where; see the statuses of {@link TcpFrame}. */
  int check(boolean write, long idx, long givenKey, long address, long length) {
    if (idx != name.idx()) {
      return idx >>> 32 != name.idx() >>> 32
          ? TcpFrame.STATUS_OTHER_LIFE
          : TcpFrame.STATUS_NO_REGION;
    }
    if (givenKey != key) {
      return TcpFrame.STATUS_KEY;
    }
    long offset = address - span.address();
    if (offset < 0 || length < 0 || offset > span.length() || length > span.length() - offset) {
      return TcpFrame.STATUS_BOUNDS;
    }
    boolean allowed = write ? name.access().remoteWrite() : name.access().remoteRead();
    return allowed ? TcpFrame.STATUS_OK : TcpFrame.STATUS_ACCESS;
  }

  /** Where an address of a checked operation lies in the region. */
  long offsetOf(long address) {
    return address - span.address();
  }

  /** Copies a piece out, to an index of the target. */
  void copyOut(long offset, int length, ByteBuffer target, int index) {
    target.put(
        index, span.window(MemorySpan.windowOf(offset)), MemorySpan.withinWindow(offset), length);
  }

  /** Copies a piece in, from an index of the source. */
  void copyIn(long offset, int length, ByteBuffer source, int index) {
    span.window(MemorySpan.windowOf(offset))
        .put(MemorySpan.withinWindow(offset), source, index, length);
  }

  /**
   * A view whose position and limit frame a piece. It is the caller's until it is given back with
   * {@link #release}.
   */
  ByteBuffer acquire(long offset, int length) {
    ByteBuffer view = views[MemorySpan.windowOf(offset)].take();
    int start = MemorySpan.withinWindow(offset);
    view.limit(start + length).position(start);
    return view;
  }

  /** Takes a view back; {@code offset} is the one that it was acquired for. */
  void release(long offset, ByteBuffer view) {
    views[MemorySpan.windowOf(offset)].give(view);
  }

  /** Views that were acquired and not released yet. */
  int viewsInUse() {
    int inUse = 0;
    for (ViewPool pool : views) {
      inUse += pool.made - pool.count;
    }
    return inUse;
  }

  @Override
  public String toString() {
    return "region " + name.rid();
  }

  /** Duplicates of one window that are not in use. As many are made as are ever in use at once. */
  private static final class ViewPool {

    private final ByteBuffer window;
    private ByteBuffer[] free = new ByteBuffer[8];
    private int count;
    private int made;

    ViewPool(ByteBuffer window) {
      this.window = window;
    }

    ByteBuffer take() {
      if (count > 0) {
        return free[--count];
      }
      made++;
      return window.duplicate();
    }

    void give(ByteBuffer view) {
      if (count == free.length) {
        free = Arrays.copyOf(free, 2 * count);
      }
      free[count++] = view;
    }
  }
}
