package com.example.p2p.unix;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import java.nio.ByteBuffer;

/** A registered region: its name, its key, and whether a peer may do what it asks for. */
final class UnixMemory implements RegisteredMemory {

  private final UnixTransport transport;
  private final RegionName name;
  private final MemorySpan span;
  private final long key;
  private boolean open = true;

  UnixMemory(UnixTransport transport, RegionName name, MemorySpan span, long key) {
    this.transport = transport;
    this.name = name;
    this.span = span;
    this.key = key;
  }

  /** Uses only what never changes, since any thread may call it. */
  @Override
  public FifoDescriptor describe(long offset, long length) {
    return FifoDescriptor.of(span.address() + offset, length, 0, name.rid(), name.idx(), key, 0, 0);
  }

  /** From now on no frame finds the region, and no answer that is under way reads from it. */
  @Override
  public void close() {
    open = false;
    transport.forget(this);
  }

  boolean isOpen() {
    return open;
  }

  int rid() {
    return name.rid();
  }

  /** Checks life, epoch, key, bounds and access of a peer's operation, as far as it goes. */
  Frame.Status check(Frame frame) {
    if (frame.idx() >>> 32 != name.idx() >>> 32) {
      return Frame.Status.OTHER_LIFE;
    }
    if (frame.idx() != name.idx()) {
      return Frame.Status.NO_REGION;
    }
    if (frame.key() != key) {
      return Frame.Status.KEY;
    }
    long first = frame.address() - span.address();
    if (first < 0 || first > span.length() || frame.length() > span.length() - first) {
      return Frame.Status.BOUNDS;
    }
    boolean allowed =
        frame.kind() == Frame.Kind.WRITE ? name.access().remoteWrite() : name.access().remoteRead();
    return allowed ? Frame.Status.OK : Frame.Status.ACCESS;
  }

  /** Where an address lies in the region. */
  long offsetOf(long address) {
    return address - span.address();
  }

  /** A buffer over a piece. */
  ByteBuffer piece(long offset, int length) {
    return span.slice(offset, length);
  }
}
