package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;

/**
 * A registered region. What a descriptor says of it:
 *
 * <pre>
 * offset size
 *     12    4  rkey    key of the registration
 *     32    8  base    first byte of the region
 *     40    8  length  of the region
 *     48    8  0       kept for the keys of more NICs
 * </pre>
 */
final class VerbsMemory implements RegisteredMemory {

  /** Words of the descriptor's own part. */
  static final int BASE = 0;

  static final int LENGTH = 1;

  private final VerbsTransport transport;
  private final VerbsNic nic;
  private final RegionName name;
  private final MemorySpan span;
  private final int place;
  private final int key;

  /**
   * Registers memory.
   *
   * @param place by which operations name it
   * @throws io.uccl.p2p.RegistrationException if the device refuses
   */
  VerbsMemory(VerbsTransport transport, VerbsNic nic, int place, RegionName name, MemorySpan span) {
    this.transport = transport;
    this.nic = nic;
    this.place = place;
    this.name = name;
    this.span = span;
    this.key = nic.register(place, name.access(), span);
  }

  @Override
  public FifoDescriptor describe(long offset, long length) {
    return FifoDescriptor.of(
        span.address() + offset,
        length,
        key,
        name.rid(),
        name.idx(),
        span.address(),
        span.length(),
        0);
  }

  @Override
  public long localKey() {
    return place;
  }

  /**
   * {@inheritDoc}
   *
   * <p>Deregistering takes the key away from peers and waits for what is under way, so when the
   * call returns nothing of them arrives any more. If operations of this process still use the
   * memory, its registration outlives the call, and with it the key; the memory is not given back
   * before {@link #release} has closed it.
   */
  @Override
  public void close() {
    transport.forget(this);
    nic.close(place);
  }

  /**
   * {@inheritDoc}
   *
   * @throws TransportException if the device keeps the registration; then it keeps the memory
   */
  @Override
  public void release() {
    if (nic.close(place)) {
      transport.free(place);
      return;
    }
    if (!transport.isClosed()) {
      throw new TransportException(
          "the device does not close the registration of " + this,
          FailureDetail.remedy("Close the engine").withTransport("rdma"));
    }
    // What nobody will report any more ends with its queue pairs.
    nic.shutDown();
    transport.free(place);
  }

  @Override
  public String toString() {
    return "region " + name.rid();
  }
}
