package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/** A setting, from the environment or from {@link EngineConfig}, cannot be used. */
public final class ConfigurationException extends P2pException {

  private static final long serialVersionUID = 1L;

  /** See {@link P2pException#P2pException}. */
  public ConfigurationException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(summary, detail, cause);
  }

  /** Without a cause. */
  public ConfigurationException(String summary, FailureDetail detail) {
    this(summary, detail, null);
  }

  @Override
  public ConfigurationException withDetail(FailureDetail other) {
    return new ConfigurationException(summary(), other, this);
  }
}
