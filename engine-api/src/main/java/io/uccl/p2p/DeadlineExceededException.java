package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** An operation did not end within its deadline. */
public final class DeadlineExceededException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public DeadlineExceededException(
      String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public DeadlineExceededException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public DeadlineExceededException withDetail(FailureDetail other) {
    return new DeadlineExceededException(summary(), other, this);
  }
}
