package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The document and the kit have the same rules, in the same words. */
class ConformanceDocumentTest {

  private static final Pattern NUMBERED = Pattern.compile("([A-Z]\\d+) (\\S.*)");
  private static final Pattern DOCUMENTED = Pattern.compile("\\| ([A-Z]\\d+) \\| (\\S.*) \\|");

  @Test
  void documentAndKitHaveTheSameRules() throws IOException {
    assertThat(documented()).containsExactlyInAnyOrderElementsOf(tested());
  }

  @Test
  void everyRuleHasANumberOfItsOwn() throws IOException {
    assertThat(tested().stream().map(rule -> rule.split(" ", 2)[0]))
        .hasSizeGreaterThan(70)
        .doesNotHaveDuplicates();
    assertThat(documented().stream().map(rule -> rule.split(" ", 2)[0])).doesNotHaveDuplicates();
  }

  private static List<String> documented() throws IOException {
    List<String> rules = new ArrayList<>();
    for (String line : Files.readAllLines(Path.of("..", "docs", "conformance.md"))) {
      Matcher rule = DOCUMENTED.matcher(line);
      if (rule.matches()) {
        rules.add(rule.group(1) + " " + rule.group(2));
      }
    }
    return rules;
  }

  private static List<String> tested() {
    List<String> rules = KitRules.methods().stream().map(KitRules::name).toList();
    assertThat(rules).allMatch(name -> NUMBERED.matcher(name).matches(), "starts with a number");
    return rules;
  }
}
