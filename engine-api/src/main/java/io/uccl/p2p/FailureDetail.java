package io.uccl.p2p;

/**
 * What a person needs to know about a failure besides its message. Text that is not known is empty.
 *
 * @param transport name of the transport, such as {@code tcp}
 * @param peer the peer's {@code ip:port}
 * @param operation what was attempted, such as {@code write of 4096 bytes, operation 3 of 128}
 * @param range the memory that it was about, such as {@code remote 0x7f00-0x8f00 (region 5)}
 * @param providerErrno the provider's error number, 0 if there is none
 * @param providerText the provider's text for it
 * @param remedy what to do about it
 */
public record FailureDetail(
    String transport,
    String peer,
    String operation,
    String range,
    int providerErrno,
    String providerText,
    String remedy) {

  /** Nothing known. */
  public static final FailureDetail NONE = new FailureDetail("", "", "", "", 0, "", "");

  /** Only a remedy. */
  public static FailureDetail remedy(String remedy) {
    return NONE.withRemedy(remedy);
  }

  /** The same with another transport. */
  public FailureDetail withTransport(String value) {
    return new FailureDetail(value, peer, operation, range, providerErrno, providerText, remedy);
  }

  /** The same with another peer. */
  public FailureDetail withPeer(String value) {
    return new FailureDetail(
        transport, value, operation, range, providerErrno, providerText, remedy);
  }

  /** The same with another operation and its range. */
  public FailureDetail withOperation(String what, String where) {
    return new FailureDetail(transport, peer, what, where, providerErrno, providerText, remedy);
  }

  /** The same with another provider error. */
  public FailureDetail withProvider(int errno, String text) {
    return new FailureDetail(transport, peer, operation, range, errno, text, remedy);
  }

  /** The same with another remedy. */
  public FailureDetail withRemedy(String value) {
    return new FailureDetail(transport, peer, operation, range, providerErrno, providerText, value);
  }

  /** {@code message}, followed by whatever is known, on one line. */
  String describe(String message) {
    StringBuilder text = new StringBuilder(message);
    append(text, "operation", operation);
    append(text, "range", range);
    append(text, "peer", peer);
    append(text, "transport", transport);
    if (providerErrno != 0 || !providerText.isEmpty()) {
      append(text, "provider", (providerErrno + " " + providerText).trim());
    }
    if (!remedy.isEmpty()) {
      text.append(". ").append(remedy);
    }
    return text.toString();
  }

  private static void append(StringBuilder text, String name, String value) {
    if (!value.isEmpty()) {
      text.append("; ").append(name).append(": ").append(value);
    }
  }
}
