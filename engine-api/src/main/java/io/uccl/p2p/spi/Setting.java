package io.uccl.p2p.spi;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.FailureDetail;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * An environment variable that is read: its name, what it means, its default, and what it may hold.
 *
 * @param name of the variable
 * @param meaning one line, for lists
 * @param defaultText what stands for an unset variable: a value, or words
 * @param expected what it may hold, for errors: {@code a number from 1 to 256}
 * @param defaultValue the value of an unset variable
 * @param parser makes the value; throws IllegalArgumentException if the text cannot be used
 * @param <T> what it holds
 */
public record Setting<T>(
    String name,
    String meaning,
    String defaultText,
    String expected,
    T defaultValue,
    Function<String, T> parser) {

  /** A whole number within bounds. */
  public static Setting<Integer> integer(
      String name, String meaning, int defaultValue, int least, int most) {
    return new Setting<>(
        name,
        meaning,
        Integer.toString(defaultValue),
        "a number from " + least + " to " + most,
        defaultValue,
        text -> {
          int value = Integer.parseInt(text);
          if (value < least || value > most) {
            throw new IllegalArgumentException("out of range");
          }
          return value;
        });
  }

  /** {@code 0} or {@code 1}. */
  public static Setting<Boolean> flag(String name, String meaning) {
    return new Setting<>(
        name,
        meaning,
        "0",
        "0 or 1",
        false,
        text -> {
          if (!text.equals("0") && !text.equals("1")) {
            throw new IllegalArgumentException("neither 0 nor 1");
          }
          return text.equals("1");
        });
  }

  /** One of some words, exactly as they stand. */
  public static Setting<String> choice(
      String name, String meaning, String defaultValue, List<String> choices) {
    return new Setting<>(
        name,
        meaning,
        defaultValue,
        "one of " + String.join(", ", choices),
        defaultValue,
        text -> {
          if (!choices.contains(text)) {
            throw new IllegalArgumentException("not among them");
          }
          return text;
        });
  }

  /** Any text but an empty one; empty text stands for an unset variable. */
  public static Setting<String> text(String name, String meaning, String defaultText) {
    return new Setting<>(name, meaning, defaultText, "a text that is not empty", "", text -> text);
  }

  /**
   * The value in an environment. An empty variable counts as unset.
   *
   * @throws ConfigurationException if it holds something that it may not
   */
  public T in(Map<String, String> environment) {
    String text = environment.getOrDefault(name, "").trim();
    if (text.isEmpty()) {
      return defaultValue;
    }
    try {
      return parser.apply(text);
    } catch (IllegalArgumentException e) {
      throw new ConfigurationException(
          name + "='" + text + "' cannot be used: " + expected + " is expected",
          FailureDetail.remedy("Correct or unset " + name + " (" + meaning + ")"),
          e);
    }
  }

  /** True if the variable is set, and not to nothing. */
  public boolean isSet(Map<String, String> environment) {
    return !environment.getOrDefault(name, "").isBlank();
  }
}
