package io.uccl.p2p.engine;

import java.util.regex.Pattern;

/** Keeps text that comes from elsewhere from breaking a message into several lines. */
final class OneLine {

  private static final Pattern BREAKS = Pattern.compile("[\\p{Cntrl}\\u0085\\u2028\\u2029]+");

  private OneLine() {}

  /** The text with each run of line breaks and other control characters as one space. */
  static String of(String text) {
    return BREAKS.matcher(text).replaceAll(" ").trim();
  }

  /** The class of a failure and what it says. */
  static String of(Throwable failure) {
    String message = failure.getMessage();
    String name = failure.getClass().getName();
    return message == null || message.isBlank() ? name : of(name + ": " + message);
  }
}
