package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** A region cannot be closed because operations, which the message names, still use its memory. */
public final class RegionInUseException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public RegionInUseException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public RegionInUseException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public RegionInUseException withDetail(FailureDetail other) {
    return new RegionInUseException(summary(), other, this);
  }
}
