package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** The engine, connection or region was closed by this process. */
public final class ResourceClosedException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public ResourceClosedException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public ResourceClosedException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public ResourceClosedException withDetail(FailureDetail other) {
    return new ResourceClosedException(summary(), other, this);
  }
}
