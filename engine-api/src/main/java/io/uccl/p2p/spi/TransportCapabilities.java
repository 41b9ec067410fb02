package io.uccl.p2p.spi;

/**
 * What a transport can promise. The conformance kit tests the weaker form of a rule where one of
 * these says that the network cannot keep the stronger one.
 *
 * @param refusal what becomes of a connection when the target refuses an operation
 * @param targetChecks what the target looks at before it lets an operation through
 * @param expiry what becomes of an operation that the transport has when its deadline passes
 * @param revokesOnClose true if no operation reaches a region once its close has returned, also
 *     from peers that do not know of the close
 * @param maxOperationBytes the longest single operation; the engine cuts longer ones
 */
public record TransportCapabilities(
    Refusal refusal,
    TargetChecks targetChecks,
    Expiry expiry,
    boolean revokesOnClose,
    long maxOperationBytes) {

  /** What becomes of a connection when the target refuses an operation. */
  public enum Refusal {
    /** Only the operation fails. */
    PER_OPERATION,
    /** The connection fails with it; a new one works. */
    BREAKS_CONNECTION
  }

  /** What the target looks at before it lets an operation through. */
  public enum TargetChecks {
    /** Life of the engine, region, epoch, key, bounds and access. */
    ALL,
    /** The NIC's key of the region, its bounds and its access. */
    NIC_KEY
  }

  /** What becomes of an operation that the transport has when its deadline passes. */
  public enum Expiry {
    /**
     * The engine closes the channel, which ends the operation, and with it all others of the
     * connection.
     */
    CLOSES_CHANNEL,
    /**
     * Nothing can end it. The engine declares it failed, and its memory in use until the transport
     * reports it. No other operation suffers.
     */
    STAYS_IN_USE
  }
}
