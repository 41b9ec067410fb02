package io.uccl.p2p.conformance;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.spi.TransportCapabilities;
import io.uccl.p2p.spi.TransportCapabilities.Expiry;
import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import io.uccl.p2p.spi.TransportCapabilities.TargetChecks;
import java.util.Map;

/** The kit on the cxi transport, on one of libfabric's providers. */
abstract class CxiConformance extends TransportConformance {

  private static final long LONGEST = 256L << 20;

  private final String library;
  private final String provider;
  private final Refusal refusal;
  private final boolean revokes;

  /**
   * Chooses libfabric and its provider.
   *
   * @param library path of libfabric
   * @param revokes whether nothing reaches a registration that is closed
   */
  CxiConformance(String library, String provider, Refusal refusal, boolean revokes) {
    this.library = library;
    this.provider = provider;
    this.refusal = refusal;
    this.revokes = revokes;
  }

  @Override
  protected final String transport() {
    return "cxi";
  }

  @Override
  protected final TransportCapabilities capabilities() {
    return new TransportCapabilities(
        refusal, TargetChecks.NIC_KEY, Expiry.STAYS_IN_USE, revokes, LONGEST);
  }

  @Override
  protected Map<String, String> environment() {
    return Map.of(
        "UCCL_SOCKET_IFNAME", "lo", "UCCL_LIBFABRIC_SO", library, "UCCL_CXI_PROVIDER", provider);
  }

  /** The engine's own cut is what matters there; the tcp transport's kit shows it. */
  @Override
  protected final boolean largeOperations() {
    return false;
  }

  /** The key is the second of the transport's own words. */
  @Override
  protected final FifoDescriptor withWrongKey(FifoDescriptor right) {
    return FifoDescriptor.of(
        right.address(),
        right.length(),
        right.rkey(),
        right.rid(),
        right.idx(),
        right.own0(),
        right.own1() ^ 1,
        right.own2());
  }
}
