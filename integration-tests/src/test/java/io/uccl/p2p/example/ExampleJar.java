package io.uccl.p2p.example;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URISyntaxException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.ServiceLoader;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.stream.Stream;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.StandardLocation;
import javax.tools.ToolProvider;

/** The example transport as a third party makes it: compiled against engine-api alone, in a jar. */
final class ExampleJar {

  static final Path PROJECT =
      Path.of(System.getProperty("basedir", "."), "src/example-transport").toAbsolutePath();
  static final Path SOURCES = PROJECT.resolve("src");

  private ExampleJar() {}

  /** Compiles the example and packs it; fails if the compiler says anything at all. */
  static Path build(Path folder) throws IOException {
    Path classes = Files.createDirectory(folder.resolve("classes"));
    assertThat(compile(SOURCES.resolve("main/java"), List.of(locationOf(P2pEngine.class)), classes))
        .isEmpty();
    return pack(folder.resolve("unix-transport.jar"), classes, SOURCES.resolve("main/resources"));
  }

  /** Compiles a tree of sources; returns what the compiler had to say. */
  static List<String> compile(Path sources, List<Path> classPath, Path classes) throws IOException {
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    DiagnosticCollector<JavaFileObject> said = new DiagnosticCollector<>();
    try (StandardJavaFileManager files = compiler.getStandardFileManager(said, null, null)) {
      files.setLocationFromPaths(StandardLocation.CLASS_PATH, classPath);
      files.setLocationFromPaths(StandardLocation.CLASS_OUTPUT, List.of(classes));
      boolean well =
          compiler
              .getTask(
                  null,
                  files,
                  said,
                  List.of("--release", "17", "-Xlint:all", "-Werror", "-proc:none"),
                  null,
                  files.getJavaFileObjectsFromPaths(
                      files(sources).stream()
                          .filter(file -> file.toString().endsWith(".java"))
                          .toList()))
              .call();
      List<String> lines = said.getDiagnostics().stream().map(Object::toString).toList();
      return well || !lines.isEmpty() ? lines : List.of("the compiler failed without a word");
    }
  }

  /** Finds the provider in the jar as the engine does; the caller closes the loader. */
  static TransportProvider provider(URLClassLoader loader) {
    return ServiceLoader.load(TransportProvider.class, loader).stream()
        .filter(provider -> provider.type().getClassLoader() == loader)
        .findFirst()
        .orElseThrow()
        .get();
  }

  static URLClassLoader loader(Path jar) throws IOException {
    return new URLClassLoader(new URL[] {jar.toUri().toURL()}, ExampleJar.class.getClassLoader());
  }

  /** The folder or jar that a class comes from. */
  static Path locationOf(Class<?> type) {
    try {
      return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  private static Path pack(Path jar, Path... roots) throws IOException {
    try (OutputStream file = Files.newOutputStream(jar);
        JarOutputStream out = new JarOutputStream(file)) {
      for (Path root : roots) {
        for (Path entry : files(root)) {
          out.putNextEntry(new JarEntry(root.relativize(entry).toString()));
          Files.copy(entry, out);
          out.closeEntry();
        }
      }
    }
    return jar;
  }

  private static List<Path> files(Path root) throws IOException {
    try (Stream<Path> all = Files.walk(root)) {
      return all.filter(Files::isRegularFile).sorted().toList();
    }
  }
}
