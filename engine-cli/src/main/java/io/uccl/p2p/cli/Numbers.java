package io.uccl.p2p.cli;

import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Read numbers of options, and say in words what is expected. */
final class Numbers {

  private Numbers() {}

  /** A whole number. */
  static final class Whole implements ITypeConverter<Integer> {
    @Override
    public Integer convert(String value) {
      try {
        return Integer.valueOf(value);
      } catch (NumberFormatException e) {
        throw new TypeConversionException("'" + value + "' is no number: give a whole one");
      }
    }
  }

  /** A number with or without a decimal point. */
  static final class Decimal implements ITypeConverter<Double> {
    @Override
    public Double convert(String value) {
      try {
        return Double.valueOf(value);
      } catch (NumberFormatException e) {
        throw new TypeConversionException(
            "'" + value + "' is no number: give one such as 1 or 0.5");
      }
    }
  }
}
