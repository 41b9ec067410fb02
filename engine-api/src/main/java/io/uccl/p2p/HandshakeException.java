package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** Something answers that is not a peer: another protocol, another version, another transport. */
public final class HandshakeException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public HandshakeException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public HandshakeException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public HandshakeException withDetail(FailureDetail other) {
    return new HandshakeException(summary(), other, this);
  }
}
