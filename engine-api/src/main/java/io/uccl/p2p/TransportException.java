package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** The transport failed in a way that no other exception names; the provider's error says how. */
public final class TransportException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public TransportException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public TransportException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public TransportException withDetail(FailureDetail other) {
    return new TransportException(summary(), other, this);
  }
}
