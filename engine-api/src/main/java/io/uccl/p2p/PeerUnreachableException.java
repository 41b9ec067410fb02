package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** No connection to the peer came about: nothing answers, or not in time. */
public final class PeerUnreachableException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public PeerUnreachableException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public PeerUnreachableException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public PeerUnreachableException withDetail(FailureDetail other) {
    return new PeerUnreachableException(summary(), other, this);
  }
}
