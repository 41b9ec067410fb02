package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** The transport that was asked for cannot work on this machine, or no transport can. */
public final class TransportUnavailableException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public TransportUnavailableException(
      String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public TransportUnavailableException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public TransportUnavailableException withDetail(FailureDetail other) {
    return new TransportUnavailableException(summary(), other, this);
  }
}
