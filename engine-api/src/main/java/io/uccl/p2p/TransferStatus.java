package io.uccl.p2p;

/** How far a {@link Transfer} is. */
public enum TransferStatus {
  /** Filled or empty, not posted. Only a {@link TransferBatch} is ever in this state. */
  IDLE,
  /** Posted and not ended. */
  IN_FLIGHT,
  /** Every byte is in place. */
  DONE,
  /** At least one operation failed, and none is under way any more. */
  FAILED
}
