package io.uccl.p2p.example;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** {@code docs/write-a-transport.md}: what it quotes stands in the example. */
class ExampleGuideTest {

  private static final Pattern EXCERPT =
      Pattern.compile("```(?:java|xml)\n(.*?)```", Pattern.DOTALL);

  @Test
  void everyExcerptStandsInTheExample() throws Exception {
    Path guide = ExampleJar.PROJECT.resolve("../../../docs/write-a-transport.md").normalize();
    List<String> excerpts =
        EXCERPT.matcher(Files.readString(guide)).results().map(found -> found.group(1)).toList();
    assertThat(excerpts).hasSizeGreaterThan(12);
    assertThat(sources() + read(ExampleJar.PROJECT.resolve("pom.xml"))).contains(excerpts);
  }

  private static String sources() throws IOException {
    try (Stream<Path> files = Files.walk(ExampleJar.SOURCES)) {
      return files
          .filter(Files::isRegularFile)
          .sorted()
          .map(ExampleGuideTest::read)
          .collect(Collectors.joining());
    }
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
