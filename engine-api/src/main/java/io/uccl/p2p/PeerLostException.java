package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** The connection to the peer broke: it ended, was reset, or fell silent. */
public final class PeerLostException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public PeerLostException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public PeerLostException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public PeerLostException withDetail(FailureDetail other) {
    return new PeerLostException(summary(), other, this);
  }
}
