package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/**
 * The root of everything that the engine throws besides the JDK's own exceptions for wrong
 * arguments ({@link IllegalArgumentException}, {@link IndexOutOfBoundsException}, {@link
 * IllegalStateException}).
 */
public abstract class P2pException extends RuntimeException {

  private static final long serialVersionUID = 1L;

  private final String summary;
  private final transient FailureDetail detail;

  /**
   * For subclasses.
   *
   * @param summary one sentence without its full stop: what happened
   * @param detail what else is known
   * @param cause what led to it, or null
   */
  protected P2pException(String summary, FailureDetail detail, @Nullable Throwable cause) {
    super(detail.describe(summary), cause);
    this.summary = summary;
    this.detail = detail;
  }

  /** What happened, without the details that {@link #getMessage()} adds. */
  public final String summary() {
    return summary;
  }

  /** Transport, peer, operation, range, provider's error and remedy, as far as known. */
  public final FailureDetail detail() {
    return detail == null ? FailureDetail.NONE : detail;
  }

  /**
   * The same failure seen from another place: an exception of the same class with other details,
   * made on the calling thread, this one being its cause.
   */
  public abstract P2pException withDetail(FailureDetail other);
}
