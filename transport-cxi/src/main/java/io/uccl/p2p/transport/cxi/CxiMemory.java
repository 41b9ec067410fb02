package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.TransportException;
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
  private final RegionName name;
  private final MemorySpan span;
  private final int place;

  /** Both change when a fresh endpoint takes the place of one that failed. */
  private volatile Registration registration;

  private record Registration(CxiEndpoint endpoint, long key) {}

  /**
   * Registers memory.
   *
   * @param place by which operations name it, on every endpoint
   * @throws io.uccl.p2p.RegistrationException if libfabric refuses
   */
  CxiMemory(
      CxiTransport transport, CxiEndpoint endpoint, int place, RegionName name, MemorySpan span) {
    this.transport = transport;
    this.place = place;
    this.name = name;
    this.span = span;
    this.registration = registered(endpoint);
  }

  private Registration registered(CxiEndpoint endpoint) {
    return new Registration(endpoint, endpoint.register(place, name.access(), span));
  }

  /** Registers it with a fresh endpoint; descriptors of the old one are refused from now on. */
  void moveTo(CxiEndpoint endpoint) {
    registration = registered(endpoint);
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
    return place;
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
    registration.endpoint().close(place);
  }

  /**
   * {@inheritDoc}
   *
   * @throws TransportException if libfabric keeps the registration; then it keeps the memory
   */
  @Override
  public void release() {
    CxiEndpoint endpoint = registration.endpoint();
    if (endpoint.hasFailed() || !isClosedBy(endpoint)) {
      // What nobody will report any more ends with the endpoint.
      endpoint.shutDown();
    }
    transport.free(place);
  }

  /** False if only the end of the endpoint will. */
  private boolean isClosedBy(CxiEndpoint endpoint) {
    try {
      if (endpoint.close(place)) {
        return true;
      }
    } catch (TransportException e) {
      if (!transport.isClosed()) {
        throw e;
      }
      return false;
    }
    if (!transport.isClosed()) {
      throw new TransportException(
          "operations still use the registration of " + this,
          FailureDetail.remedy("Close the engine").withTransport("cxi"));
    }
    return false;
  }

  @Override
  public String toString() {
    return "region " + name.rid();
  }
}
