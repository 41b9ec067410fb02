package io.uccl.p2p.example;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.spi.TransportProvider;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import java.util.jar.Manifest;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A third party's transport: from its sources to bytes that move in another JVM. */
class ExampleTransportTest {

  @TempDir static Path folder;
  private static Path jar;

  private record Child(int exit, String output) {}

  @BeforeAll
  static void buildJar() throws Exception {
    jar = ExampleJar.build(folder);
  }

  @Test
  void itsJarHoldsNothingButItsOwn() throws Exception {
    try (JarFile file = new JarFile(jar.toFile())) {
      assertThat(file.stream().map(Object::toString))
          .contains("META-INF/services/" + TransportProvider.class.getName())
          .allMatch(name -> name.startsWith("com/example/") || name.startsWith("META-INF/"));
    }
  }

  @Test
  void theCheckOfItsSourcesSeesAWarning() throws Exception {
    Path sources = Files.createDirectory(folder.resolve("planted"));
    Files.writeString(
        sources.resolve("Planted.java"), "class Planted { java.util.List list = null; }");
    assertThat(
            ExampleJar.compile(
                sources,
                List.of(ExampleJar.locationOf(P2pEngine.class)),
                Files.createDirectory(folder.resolve("planted-classes"))))
        .anyMatch(line -> line.contains("[rawtypes]"));
  }

  @Test
  void namedByTheEnvironmentItMovesBytesBothWays() throws Exception {
    Path sockets = Files.createDirectory(folder.resolve("s"));
    Child child =
        run(
            classPathWith(jar),
            Map.of("UCCL_P2P_TRANSPORT", "unix", "UNIX_P2P_DIR", sockets.toString()),
            "transfer");
    assertThat(child.output())
        .contains("engines on unix unix", "moved 0\n", "moved 65\n", "moved 1179648\n")
        .contains("refused: the target's region does not allow this", "first byte 0\n")
        .contains("transport: unix", "moves after the refusal", "back 42\n");
    assertThat(child.exit()).isZero();
    assertThat(sockets).isEmptyDirectory();
  }

  @Test
  void notNamedItIsNotChosen() throws Exception {
    Child child = run(classPathWith(jar), Map.of(), "choose");
    assertThat(child.output())
        .contains("chosen tcp\n", "found unix: ", "(only when named: UCCL_P2P_TRANSPORT=unix)");
    assertThat(child.exit()).isZero();
  }

  @Test
  void notNamedItIsNotChosenEvenWhereItIsTheOnlyOne() throws Exception {
    List<Path> without = new ArrayList<>(classPathWith(jar));
    for (Path entry : classPath()) {
      if (bringsTransports(entry)) {
        without.remove(entry);
      }
    }

    Child child = run(without, Map.of(), "choose");
    assertThat(child.output())
        .contains("TransportUnavailableException: no transport can be chosen here; unix: ")
        .contains("(only when named: UCCL_P2P_TRANSPORT=unix)");
    assertThat(child.exit()).isEqualTo(3);

    Child named = run(without, Map.of("UCCL_P2P_TRANSPORT", "unix"), "choose");
    assertThat(named.output()).contains("chosen unix\n");
    assertThat(named.exit()).isZero();
  }

  @Test
  void withoutItsJarItsNameIsAnError() throws Exception {
    Child child = run(classPath(), Map.of("UCCL_P2P_TRANSPORT", "unix"), "choose");
    assertThat(child.output())
        .contains(
            "ConfigurationException: UCCL_P2P_TRANSPORT='unix' is not a transport that was found;"
                + " found: ")
        .contains("add the transport's jar to the class path");
    assertThat(child.exit()).isEqualTo(3);
  }

  @Test
  void whereItCannotWorkItSaysWhy() throws Exception {
    Child child =
        run(
            classPathWith(jar),
            Map.of("UCCL_P2P_TRANSPORT", "unix", "UNIX_P2P_DIR", "/nowhere"),
            "choose");
    assertThat(child.output())
        .contains("TransportUnavailableException: unix, UCCL_P2P_TRANSPORT=unix, cannot work here")
        .contains("/nowhere is not a folder that this process can write to", "Set UNIX_P2P_DIR to");
    assertThat(child.exit()).isEqualTo(3);
  }

  @Test
  void whereThePathOfItsSocketWouldBeTooLongItSaysWhatToDo() throws Exception {
    Path deep = Files.createDirectory(folder.resolve("d".repeat(100)));
    Child child =
        run(
            classPathWith(jar),
            Map.of("UCCL_P2P_TRANSPORT", "unix", "UNIX_P2P_DIR", deep.toString()),
            "choose");
    assertThat(child.output())
        .contains("TransportUnavailableException: the unix transport cannot listen in " + deep)
        .contains("Set UNIX_P2P_DIR to a writable folder");
    assertThat(child.exit()).isEqualTo(3);
    assertThat(deep).isEmptyDirectory();
  }

  /** Also a jar whose manifest names other jars: the command-line tool's names the transports. */
  private static boolean bringsTransports(Path entry) throws IOException {
    String services = "META-INF/services/" + TransportProvider.class.getName();
    if (!Files.isRegularFile(entry)) {
      return Files.exists(entry.resolve(services));
    }
    try (JarFile file = new JarFile(entry.toFile())) {
      Manifest manifest = file.getManifest();
      return file.getEntry(services) != null
          || (manifest != null
              && manifest.getMainAttributes().containsKey(Attributes.Name.CLASS_PATH));
    }
  }

  private static List<Path> classPath() {
    return Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
        .map(Path::of)
        .toList();
  }

  private static List<Path> classPathWith(Path more) {
    return Stream.concat(classPath().stream(), Stream.of(more)).toList();
  }

  private static Child run(List<Path> classPath, Map<String, String> variables, String what)
      throws Exception {
    Path output = Files.createTempFile(folder, "child", ".txt");
    ProcessBuilder builder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-cp",
                classPath.stream()
                    .map(Path::toString)
                    .collect(Collectors.joining(File.pathSeparator)),
                ExampleChild.class.getName(),
                what)
            .redirectErrorStream(true)
            .redirectOutput(output.toFile());
    builder.environment().keySet().removeIf(name -> name.startsWith("UCCL_"));
    builder.environment().putAll(variables);
    Process process = builder.start();
    boolean ended = process.waitFor(60, TimeUnit.SECONDS);
    if (!ended) {
      process.destroyForcibly().waitFor();
    }
    String text = Files.readString(output);
    assertThat(ended).as("the child hangs, after saying: %s", text).isTrue();
    return new Child(process.exitValue(), text);
  }
}
