package io.uccl.p2p;

/**
 * How a peer is doing, as far as one connection can tell: from what comes on its control channel,
 * and from the sockets when nothing comes.
 *
 * <p>Peers that are JVM engines send a heartbeat each second. Of a peer that sends none, which is a
 * C++ engine, only {@link #CONNECTED}, {@link #LOST} and {@link #CLOSED} are ever told.
 */
public enum PeerState {
  /** The connection works, as far as is known. */
  CONNECTED,

  /**
   * Nothing has come from the peer for more than 3 seconds, but the kernel of its machine answers:
   * its process is stopped, or busy with a long collection. Transfers go on and fail only by their
   * deadlines, because its memory may serve all the same. When something comes again the state is
   * {@link #CONNECTED} again.
   */
  STALLED,

  /**
   * This side does not read what the peer sends, because too many notifications wait to be taken,
   * see {@link P2pEngine#takeNotification}. The peer's silence is not judged meanwhile.
   */
  PAUSED,

  /**
   * The connection has failed with a {@link PeerLostException}: it ended or was reset, or nothing
   * has come and the peer's kernel does not answer either. Final.
   */
  LOST,

  /**
   * The connection was closed by this side, or has failed by something that is not the peer's loss,
   * a deadline say; {@link Connection#failure()} says what. Final.
   */
  CLOSED
}
