package io.uccl.p2p.guest;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.conformance.Standstill;
import io.uccl.p2p.conformance.TransportConformance;
import io.uccl.p2p.spi.TransportCapabilities;
import io.uccl.p2p.spi.TransportCapabilities.Expiry;
import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import io.uccl.p2p.spi.TransportCapabilities.TargetChecks;
import java.util.Optional;

/**
 * The kit on the rdma transport, on a device of the machine that it runs on. {@link
 * VerbsConformanceTest} runs it in a guest.
 */
public class VerbsKit extends TransportConformance {

  /** A bit of each of the two keys in a word. */
  private static final long EVERY_KEY = 1L << 32 | 1;

  /** For JUnit. */
  public VerbsKit() {}

  @Override
  protected String transport() {
    return "rdma";
  }

  @Override
  protected TransportCapabilities capabilities() {
    return new TransportCapabilities(
        Refusal.BREAKS_CONNECTION,
        TargetChecks.NIC_KEY,
        Expiry.CLOSES_CHANNEL,
        true,
        longestOperation());
  }

  /** Sixteen messages as long as soft RoCE has them. */
  protected long longestOperation() {
    return 16 * (8L << 20);
  }

  /** The guest's emulation moves 80 MB/s. */
  @Override
  protected boolean largeOperations() {
    return false;
  }

  /** It has 4 GiB; that such offsets work, the driver of the shim's core shows with less memory. */
  @Override
  protected boolean largeRegions() {
    return false;
  }

  /** The device serves a process that is stopped, and what goes over a network is not in sight. */
  @Override
  protected Optional<Standstill> standstill() {
    return Optional.empty();
  }

  @Override
  protected FifoDescriptor withWrongKey(FifoDescriptor right) {
    return FifoDescriptor.of(
        right.address(),
        right.length(),
        right.rkey(),
        right.rid(),
        right.idx(),
        right.own0() ^ EVERY_KEY,
        right.own1() ^ EVERY_KEY,
        right.own2());
  }
}
