package io.uccl.p2p.example;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.conformance.KitRules;
import io.uccl.p2p.kit.KitProcess;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/**
 * A third party's transport passes the conformance kit. As they would, this packs the example into
 * a jar, compiles the class that binds it to the kit, and has JUnit run that class in a JVM with
 * both on the class path. Each rule is a test here too.
 */
@Tag("prove")
class ExampleConformanceTest {

  /** In prove only what is too long for every day, else all but that. */
  private static final boolean PROVE = Boolean.getBoolean("p2p.prove");

  private static final String BINDING = "com.example.p2p.unix.UnixConformanceTest";

  @TempDir static Path folder;

  @TestFactory
  Stream<DynamicTest> theExamplePasses() throws IOException {
    KitProcess kit =
        PROVE
            ? KitProcess.start(List.of(), classPath(), BINDING, "large", List.of("-Dlarge=true"))
            : KitProcess.start(List.of(), classPath(), BINDING, "!prove-only", List.of());
    return kit.tests(
        PROVE ? KitRules.tagged(KitRules.groups(), "large") : KitRules.everyday(KitRules.groups()));
  }

  /** What this JVM has, the example's jar, and its compiled tests. */
  private static String classPath() throws IOException {
    List<Path> classPath = new ArrayList<>();
    for (String entry : System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
      classPath.add(Path.of(entry));
    }
    classPath.add(ExampleJar.build(folder));
    Path tests = Files.createDirectory(folder.resolve("test-classes"));
    assertThat(ExampleJar.compile(ExampleJar.SOURCES.resolve("test/java"), classPath, tests))
        .isEmpty();
    classPath.add(tests);
    return classPath.stream().map(Path::toString).collect(Collectors.joining(File.pathSeparator));
  }
}
