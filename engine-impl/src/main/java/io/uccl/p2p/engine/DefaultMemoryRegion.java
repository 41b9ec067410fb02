package io.uccl.p2p.engine;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import java.nio.ByteBuffer;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** A region: memory, its name for peers, and its registration with the transport. */
final class DefaultMemoryRegion implements MemoryRegion {

  private final DefaultP2pEngine engine;
  private final RegionName name;
  private final MemorySpan span;
  private final boolean nativeAddress;
  private final RegisteredMemory registered;
  private final Runnable giveBack;
  private final Object closing = new Object();
  private volatile boolean advertised;
  private volatile boolean closed;
  private @Nullable Revocation revocation;
  private boolean deregistered;

  /**
   * Makes one.
   *
   * @param giveBack frees memory that the engine allocated; does nothing for the caller's memory
   */
  DefaultMemoryRegion(
      DefaultP2pEngine engine,
      RegionName name,
      MemorySpan span,
      boolean nativeAddress,
      RegisteredMemory registered,
      Runnable giveBack) {
    this.engine = engine;
    this.name = name;
    this.span = span;
    this.nativeAddress = nativeAddress;
    this.registered = registered;
    this.giveBack = giveBack;
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
    // A second close waits for the first. The owner takes no such lock.
    synchronized (closing) {
      engine.closeRegion(this);
    }
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

  /** The owner's: what peers were told of its end; null while it is open. */
  @Nullable Revocation revocation() {
    return revocation;
  }

  /** The owner's: nothing new may use it from now on. */
  void startClosing() {
    closed = true;
  }

  /** The owner's: the peers were told. */
  void revoked(Revocation told) {
    revocation = told;
  }

  /**
   * Ends the registration; only the owner calls it, when nothing of ours uses the region.
   * Idempotent.
   */
  void deregister() {
    closed = true;
    if (!deregistered) {
      deregistered = true;
      registered.close();
      giveBack.run();
    }
  }

  void checkOpen() {
    if (closed) {
      throw new ResourceClosedException("region " + name.rid() + " is closed", FailureDetail.NONE);
    }
  }

  @Override
  public String toString() {
    return "region " + name.rid() + " of " + span.length() + " bytes";
  }
}
