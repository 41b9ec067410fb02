package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** Memory could not be allocated or registered. */
public final class RegistrationException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public RegistrationException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public RegistrationException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public RegistrationException withDetail(FailureDetail other) {
    return new RegistrationException(summary(), other, this);
  }
}
