package io.uccl.p2p.kit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;

/** A JVM that runs {@link KitMain}; each rule that it has run becomes a test here. */
public final class KitProcess implements AutoCloseable {

  /** Longer than the longest rule may take: they have limits of their own. */
  private static final Duration PATIENCE =
      Duration.ofMinutes(Boolean.getBoolean("p2p.prove") ? 30 : 8);

  private final Process process;
  private final BlockingQueue<Optional<RuleResult>> results = new LinkedBlockingQueue<>();

  private KitProcess(Process process) {
    this.process = process;
    Thread reader = new Thread(this::read, "results of the kit");
    reader.setDaemon(true);
    reader.start();
  }

  /** Starts one for the tests of all groups. */
  public static KitProcess start(
      List<String> starter, String classPath, String testClass, String tags, List<String> options)
      throws IOException {
    return start(starter, classPath, testClass, tags, List.of(), options);
  }

  /**
   * Starts one.
   *
   * @param starter what runs the JVM's command, which is appended to it; empty: this machine
   * @param classPath the class path of the kit's JVM, and so of the peers that it starts
   * @param testClass the class that binds a transport to the kit
   * @param tags the tag expression that selects the rules
   * @param groups the nested classes whose rules are run; empty: all
   * @param options more options for the JVM
   */
  public static KitProcess start(
      List<String> starter,
      String classPath,
      String testClass,
      String tags,
      List<Class<?>> groups,
      List<String> options)
      throws IOException {
    List<String> command = new ArrayList<>(starter);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-ea", "-Xmx1g"));
    ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(option -> option.startsWith("--enable-native-access"))
        .forEach(command::add);
    for (String property : List.of("p2p.require", "p2p.seed")) {
      @Nullable String value = System.getProperty(property);
      if (value != null) {
        command.add("-D" + property + "=" + value);
      }
    }
    command.addAll(options);
    command.addAll(List.of("-cp", classPath, KitMain.class.getName(), testClass, tags));
    groups.forEach(group -> command.add(group.getName()));
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().keySet().removeIf(name -> name.startsWith("UCCL_"));
    return new KitProcess(builder.start());
  }

  private void read() {
    try (BufferedReader lines =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        results.add(Optional.of(RuleResult.of(line)));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      results.add(Optional.empty());
    }
  }

  /**
   * A test for each rule that was run, as soon as its result is there, and a last one that sees
   * that no rule was left out and that the JVM ended by itself.
   *
   * @param expected the names of all rules that it has to run
   */
  public Stream<DynamicTest> tests(List<String> expected) {
    List<String> run = new ArrayList<>();
    Stream<DynamicTest> rules =
        results()
            .map(
                result -> {
                  run.add(result.rule());
                  return dynamicTest(result.rule(), () -> endAsThere(result));
                });
    DynamicTest end =
        dynamicTest(
            "No rule was left out, and the JVM ended by itself",
            () -> {
              assertThat(run).containsExactlyInAnyOrderElementsOf(expected);
              assertThat(awaitExit()).isZero();
            });
    return Stream.concat(rules, Stream.of(end)).onClose(this::close);
  }

  /** The names of all tests of a class, as {@link #tests} wants them. */
  public static List<String> testsOf(Class<?> tests) {
    return Arrays.stream(tests.getDeclaredMethods())
        .filter(method -> method.isAnnotationPresent(Test.class))
        .map(method -> method.getName() + "()")
        .toList();
  }

  private static void endAsThere(RuleResult result) {
    switch (result.status()) {
      case SUCCESSFUL -> assertThat(result.text()).isEmpty();
      case ABORTED -> Assumptions.abort(result.text());
      case FAILED ->
          throw new AssertionError(result.rule() + ", in the kit's JVM: " + result.text());
    }
  }

  private Stream<RuleResult> results() {
    return Stream.generate(this::next).takeWhile(Optional::isPresent).map(Optional::orElseThrow);
  }

  private Optional<RuleResult> next() {
    try {
      Optional<RuleResult> next = results.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS);
      if (next == null) {
        throw new AssertionError("no result came from the kit's JVM within " + PATIENCE);
      }
      return next;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted while waiting for the kit's JVM", e);
    }
  }

  /** The exit status, of a JVM that has nothing left to do. */
  private int awaitExit() throws InterruptedException {
    if (!process.waitFor(60, TimeUnit.SECONDS)) {
      throw new AssertionError("the kit's JVM does not end: a thread was left running");
    }
    return process.exitValue();
  }

  @Override
  public void close() {
    process.descendants().forEach(ProcessHandle::destroyForcibly);
    process.destroyForcibly();
  }
}
