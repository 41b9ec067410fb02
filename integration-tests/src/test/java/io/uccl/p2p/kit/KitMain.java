package io.uccl.p2p.kit;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestExecutionResult.Status;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TagFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * Runs a class of tests with JUnit, in a JVM of its own, and prints each test's result as a line.
 */
final class KitMain {

  private KitMain() {}

  /** {@code KitMain CLASS TAGS [GROUP...]}; see {@link KitProcess#start}. */
  public static void main(String[] arguments) {
    PrintStream results = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    // Whatever else prints must not get in between the results.
    System.setOut(System.err);
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(
                selectors(arguments[0], Arrays.asList(arguments).subList(2, arguments.length)))
            .filters(TagFilter.includeTags(arguments[1]))
            .build();
    LauncherFactory.create().execute(request, new Printer(results));
  }

  private static List<DiscoverySelector> selectors(String testClass, List<String> groups) {
    if (groups.isEmpty()) {
      return List.of(DiscoverySelectors.selectClass(testClass));
    }
    List<DiscoverySelector> selectors = new ArrayList<>();
    for (String group : groups) {
      selectors.add(DiscoverySelectors.selectNestedClass(List.of(testClass), group));
    }
    return selectors;
  }

  /** Prints tests, and containers that fail: a container stands for the tests that it kept away. */
  private static final class Printer implements TestExecutionListener {

    private final PrintStream results;

    Printer(PrintStream results) {
      this.results = results;
    }

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
      if (test.isTest() || result.getStatus() != Status.SUCCESSFUL) {
        String text = result.getThrowable().map(Printer::trace).orElse("");
        results.println(new RuleResult(result.getStatus(), test.getDisplayName(), text).line());
      }
    }

    @Override
    public void executionSkipped(TestIdentifier test, String reason) {
      results.println(new RuleResult(Status.ABORTED, test.getDisplayName(), reason).line());
    }

    private static String trace(Throwable thrown) {
      StringWriter text = new StringWriter();
      thrown.printStackTrace(new PrintWriter(text, true));
      return text.toString();
    }
  }
}
