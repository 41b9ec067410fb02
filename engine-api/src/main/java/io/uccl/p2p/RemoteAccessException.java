package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** The target, its NIC or the engine refused access to the peer's memory; nothing was written. */
public final class RemoteAccessException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public RemoteAccessException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public RemoteAccessException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public RemoteAccessException withDetail(FailureDetail other) {
    return new RemoteAccessException(summary(), other, this);
  }
}
