package io.uccl.p2p.conformance;

/**
 * What makes transfers to the peer stand still for a time. A few seconds of it end no transfer by
 * themselves.
 */
public interface Standstill {

  /** From the return on no transfer to the peer ends well. */
  void begin();

  /** What stood still goes on. */
  void end();
}
