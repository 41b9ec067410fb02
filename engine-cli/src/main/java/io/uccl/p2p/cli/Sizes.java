package io.uccl.p2p.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Block sizes as they are typed: {@code 1179648,64M}. K, M and G are steps of 1024.
 *
 * @param bytes one size each, 1 and more
 */
record Sizes(List<Long> bytes) {

  private static final Pattern SIZE = Pattern.compile("(\\d{1,18})([KMGkmg]?)");

  Sizes {
    bytes = List.copyOf(bytes);
  }

  /**
   * Reads a comma-separated list.
   *
   * @throws IllegalArgumentException if one of them is not a size
   */
  static Sizes parse(String text) {
    List<Long> bytes = new ArrayList<>();
    for (String part : text.split(",", -1)) {
      bytes.add(parseOne(part.strip()));
    }
    return new Sizes(bytes);
  }

  /** {@code 64M}, or the plain number where no step divides it. */
  static String label(long bytes) {
    String[] steps = {"G", "M", "K"};
    for (int i = 0; i < steps.length; i++) {
      long step = 1L << (10 * (steps.length - i));
      if (bytes >= step && bytes % step == 0) {
        return bytes / step + steps[i];
      }
    }
    return Long.toString(bytes);
  }

  private static long parseOne(String text) {
    Matcher match = SIZE.matcher(text);
    if (match.matches()) {
      long number = Long.parseLong(match.group(1));
      int shift =
          switch (match.group(2)) {
            case "K", "k" -> 10;
            case "M", "m" -> 20;
            case "G", "g" -> 30;
            default -> 0;
          };
      if (number > 0 && number <= Long.MAX_VALUE >> shift) {
        return number << shift;
      }
    }
    throw new IllegalArgumentException(
        "'" + text + "' is not a size: give bytes from 1 on, with K, M or G for steps of 1024");
  }

  /** For picocli. */
  static final class Converter implements ITypeConverter<Sizes> {
    @Override
    public Sizes convert(String value) {
      try {
        return parse(value);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(e.getMessage());
      }
    }
  }
}
