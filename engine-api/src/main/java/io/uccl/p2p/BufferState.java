package io.uccl.p2p;

/** Whether the local memory of a transfer that has ended may be used again. */
public enum BufferState {
  /** Nothing reads or writes it any more on behalf of the transfer. */
  FREE,
  /** The transfer is under way, or it has failed and the network may still touch the memory. */
  IN_USE
}
