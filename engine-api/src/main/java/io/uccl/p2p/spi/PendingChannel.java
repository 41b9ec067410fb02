package io.uccl.p2p.spi;

import io.uccl.p2p.HandshakeException;

/** A channel whose two sides have not exchanged parameters yet. Threads: as {@link Transport}. */
public interface PendingChannel {

  /** The bytes that the other side's {@link #complete} needs, 1 to 1024. A copy. */
  byte[] parameters();

  /**
   * Goes on with the other side's parameters. The channel is reported to {@link Transport#poll} as
   * ready or as failed, later. Called once at most, and not after {@link #abort}.
   *
   * @param remote the other side's {@link #parameters()}, unchecked: anything may have sent them
   * @throws HandshakeException if they make no sense; the pending channel is aborted then
   */
  Channel complete(byte[] remote);

  /**
   * Whether the acceptor's parameters are sent when its channel is ready, so that the connector may
   * post as soon as it has them. Else they are sent at once; that is for channels that get ready by
   * what the connector does with them. A C++ engine is always answered at once. Asked after {@link
   * #complete}.
   */
  default boolean answersWhenReady() {
    return false;
  }

  /** Gives it up and frees everything. Does nothing after {@link #complete}. Idempotent. */
  void abort();
}
