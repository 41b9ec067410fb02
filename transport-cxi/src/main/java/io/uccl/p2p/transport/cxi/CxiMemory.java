package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;

/**
 * A registered region. Its own part of a descriptor is that of the C++ engine:
 *
 * <pre>
 * offset size
 *     32    8  base    first byte of the region
 *     40    8  key     of the registration
 *     48    8  length  of the region
 * </pre>
 */
final class CxiMemory implements RegisteredMemory {

  /** Words of the descriptor's own part. */
  static final int BASE = 0;

  static final int LENGTH = 2;

  private final CxiTransport transport;
  private final CxiEndpoint endpoint;
  private final RegionName name;
  private final MemorySpan span;
  private final CxiEndpoint.Registration registration;

  CxiMemory(
      CxiTransport transport,
      CxiEndpoint endpoint,
      RegionName name,
      MemorySpan span,
      CxiEndpoint.Registration registration) {
    this.transport = transport;
    this.endpoint = endpoint;
    this.name = name;
    this.span = span;
    this.registration = registration;
  }

  @Override
  public FifoDescriptor describe(long offset, long length) {
    return FifoDescriptor.of(
        span.address() + offset,
        length,
        0,
        name.rid(),
        name.idx(),
        span.address(),
        registration.key(),
        span.length());
  }

  @Override
  public long localKey() {
    return registration.handle();
  }

  /**
   * {@inheritDoc}
   *
   * <p>If operations of this process still use the memory, its registration outlives the call: it
   * cannot be had without the key of the peers. The memory is not given back before {@link
   * #release} has closed it.
   */
  @Override
  public void close() {
    transport.forget(this);
    endpoint.close(registration.handle());
  }

  @Override
  public void release() {
    if (!endpoint.close(registration.handle())) {
      // Only once the transport is closed are there operations that nobody will report.
      endpoint.shutDown();
    }
  }

  @Override
  public String toString() {
    return "region " + name.rid();
  }
}
