package io.uccl.p2p.engine;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryKind;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.nio.ByteBuffer;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/** A region: memory, its name for peers, and its registration with the transport. */
final class DefaultMemoryRegion implements MemoryRegion {

  private final DefaultP2pEngine engine;
  private final RegionName name;
  private final MemorySpan span;
  private final boolean nativeAddress;
  private final RegisteredMemory registered;
  private final NativeMemory.@Nullable Allocation allocation;
  private final ReentrantLock closing = new ReentrantLock();
  private volatile boolean advertised;
  private volatile boolean closed;

  /**
   * Makes one.
   *
   * @param allocation the memory, if the engine allocated it; null for the caller's memory
   */
  DefaultMemoryRegion(
      DefaultP2pEngine engine,
      RegionName name,
      MemorySpan span,
      boolean nativeAddress,
      RegisteredMemory registered,
      NativeMemory.@Nullable Allocation allocation) {
    this.engine = engine;
    this.name = name;
    this.span = span;
    this.nativeAddress = nativeAddress;
    this.registered = registered;
    this.allocation = allocation;
  }

  @Override
  public long address() {
    return span.address();
  }

  @Override
  public boolean hasNativeAddress() {
    return nativeAddress;
  }

  @Override
  public long length() {
    return span.length();
  }

  @Override
  public RegionAccess access() {
    return name.access();
  }

  @Override
  public MemoryKind kind() {
    return span.kind();
  }

  @Override
  public ByteBuffer slice(long offset, int length) {
    checkOpen();
    return span.slice(offset, length);
  }

  @Override
  public FifoDescriptor advertise(long offset, long length) {
    // Before the check, so that a close that it does not see sees this.
    advertised = true;
    checkOpen();
    Objects.checkFromIndexSize(offset, length, span.length());
    if (name.access() == RegionAccess.LOCAL) {
      throw new IllegalStateException(
          "region " + name.rid() + " has access LOCAL, so there is nothing to advertise");
    }
    return registered.describe(offset, length);
  }

  @Override
  public void close() {
    engine.closeRegion(this);
  }

  boolean isOf(DefaultP2pEngine other) {
    return engine == other;
  }

  int rid() {
    return name.rid();
  }

  RegionName name() {
    return name;
  }

  /** Whether a peer may have heard of it. */
  boolean isAdvertised() {
    return advertised;
  }

  RegisteredMemory registered() {
    return registered;
  }

  boolean isClosed() {
    return closed;
  }

  boolean isAllocated() {
    return allocation != null;
  }

  // -- the steps of closing it, see RegionCloser

  void lockForClosing() {
    closing.lock();
  }

  void unlockAfterClosing() {
    closing.unlock();
  }

  /** From now on nothing can be done with it. */
  void markClosed() {
    closed = true;
  }

  /** Ends the registration, so that peers do not reach it any more; only the owner calls it. */
  void deregister() {
    registered.close();
  }

  /** Lets the transport release it, which may take long; only the reaper calls it. */
  void release() {
    registered.release();
  }

  /** Gives memory that the engine allocated back; only the reaper calls it. */
  void giveBack() {
    if (allocation != null) {
      allocation.close();
    }
  }

  void checkOpen() {
    if (closed) {
      throw new ResourceClosedException(
          "region " + name.rid() + " is closed",
          FailureDetail.remedy("Register its memory again, and advertise the new region"));
    }
  }

  @Override
  public String toString() {
    return "region " + name.rid() + " of " + span.length() + " bytes";
  }
}
