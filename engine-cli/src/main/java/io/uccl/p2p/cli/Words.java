package io.uccl.p2p.cli;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Reads one of some words, in upper or lower case, and names them as they are typed.
 *
 * @param values what the words stand for; their texts are the words
 */
record Words<E extends Enum<E>>(List<E> values) implements ITypeConverter<E> {

  static <E extends Enum<E>> Words<E> of(Class<E> type) {
    return new Words<>(Arrays.asList(type.getEnumConstants()));
  }

  @Override
  public E convert(String typed) {
    return values.stream()
        .filter(value -> value.toString().equals(typed.toLowerCase(Locale.ROOT)))
        .findFirst()
        .orElseThrow(
            () ->
                new TypeConversionException(
                    "'"
                        + typed
                        + "' is none of "
                        + String.join(", ", values.stream().map(Enum::toString).toList())));
  }
}
