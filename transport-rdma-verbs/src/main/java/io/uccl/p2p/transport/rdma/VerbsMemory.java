package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryKind;
import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import io.uccl.p2p.transport.rdma.VerbsNic.Closing;
import java.util.List;

/** A region, registered with every NIC; {@link VerbsKeys} draws what a descriptor says of it. */
final class VerbsMemory implements RegisteredMemory {

  private final VerbsTransport transport;
  private final List<VerbsNic> nics;
  private final RegionName name;
  private final MemorySpan span;
  private final int place;
  private final VerbsKeys keys;

  /**
   * Registers memory. If that fails, the place is free again.
   *
   * @param place by which operations name it
   * @throws RegistrationException if a device refuses
   */
  VerbsMemory(
      VerbsTransport transport, List<VerbsNic> nics, int place, RegionName name, MemorySpan span) {
    this.transport = transport;
    this.nics = nics;
    this.place = place;
    this.name = name;
    this.span = span;
    try {
      this.keys =
          new VerbsKeys(
              nics.size(), shift(), span.kind() == MemoryKind.CUDA, name.access().remoteRead());
      for (int i = 0; i < nics.size(); i++) {
        nics.get(i).register(place, name.access(), span, keys, i);
      }
    } catch (RegistrationException e) {
      // What a device keeps would be in the way of the next one.
      if (closeAll() == Closing.CLOSED) {
        transport.free(place);
      }
      throw e;
    }
  }

  private int shift() {
    long longest = nics.stream().mapToLong(nic -> nic.found().longestMemory()).min().orElseThrow();
    int shift = VerbsKeys.shift(span.address(), span.length(), longest, nics.size());
    if (shift < 0) {
      throw new RegistrationException(
          "the device registers "
              + longest
              + " bytes at most, and "
              + VerbsKeys.MOST / nics.size()
              + " such pieces do not hold the "
              + span.length()
              + " bytes of the region",
          FailureDetail.remedy("Register it as several regions; see max_mr_size in ibv_devinfo -v")
              .withTransport("rdma"));
    }
    return shift;
  }

  /** Closes what is open of it; returns what is the worst of all devices. */
  Closing closeAll() {
    Closing worst = Closing.CLOSED;
    for (VerbsNic nic : nics) {
      Closing ofNic = nic.close(place);
      worst = ofNic.compareTo(worst) > 0 ? ofNic : worst;
    }
    return worst;
  }

  @Override
  public FifoDescriptor describe(long offset, long length) {
    long address = span.address() + offset;
    return FifoDescriptor.of(
        address,
        length,
        keys.key(address),
        name.rid(),
        name.idx(),
        keys.word(0),
        keys.word(1),
        keys.word(2));
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
   *
   * @throws TransportException if a device keeps the registration; peers reach the memory then
   */
  @Override
  public void close() {
    if (closeAll() == Closing.KEPT) {
      throw kept();
    }
    transport.forget(this);
  }

  private TransportException kept() {
    return new TransportException(
        "the device does not close the registration of " + this,
        FailureDetail.remedy("Close the engine").withTransport("rdma"));
  }

  /**
   * {@inheritDoc}
   *
   * @throws TransportException if a device keeps the registration; then it keeps the memory
   */
  @Override
  public void release() {
    if (closeAll() != Closing.CLOSED) {
      if (!transport.isClosed()) {
        throw kept();
      }
      // What nobody will report any more ends with its queue pairs.
      transport.shutDown();
    }
    transport.free(place);
  }

  @Override
  public String toString() {
    return "region " + name.rid();
  }
}
