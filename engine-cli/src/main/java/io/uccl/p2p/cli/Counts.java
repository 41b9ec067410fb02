package io.uccl.p2p.cli;

import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Numbers of operations in a call as they are typed: {@code 1,2,4}.
 *
 * @param values one number each, 1 to {@link #MOST}
 */
record Counts(List<Integer> values) {

  /** What a batch can hold. */
  static final int MOST = 1 << 20;

  Counts {
    values = List.copyOf(values);
  }

  /**
   * Reads a comma-separated list.
   *
   * @throws IllegalArgumentException if one of them is not such a number
   */
  static Counts parse(String text) {
    List<Integer> values = new ArrayList<>();
    for (String part : text.split(",", -1)) {
      values.add(parseOne(part.strip()));
    }
    return new Counts(values);
  }

  private static int parseOne(String text) {
    if (text.matches("\\d{1,9}")) {
      int value = Integer.parseInt(text);
      if (value >= 1 && value <= MOST) {
        return value;
      }
    }
    throw new IllegalArgumentException(
        "'" + text + "' is not a number of operations: give numbers from 1 to " + MOST);
  }

  /** For picocli. */
  static final class Converter implements ITypeConverter<Counts> {
    @Override
    public Counts convert(String value) {
      try {
        return parse(value);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(e.getMessage());
      }
    }
  }
}
