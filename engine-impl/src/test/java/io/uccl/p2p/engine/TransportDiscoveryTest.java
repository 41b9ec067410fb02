package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.io.InputStream;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Enumeration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TransportDiscoveryTest {

  private static final ClassLoader OWN = TransportDiscoveryTest.class.getClassLoader();

  @TempDir Path folder;

  @Test
  void findsWhatEitherClassLoaderSeesByFallingPriority() throws IOException {
    try (URLClassLoader one = planted("one", Good.class.getName());
        URLClassLoader other = planted("other", Better.class.getName())) {
      TransportDiscovery found = TransportDiscovery.find(one, other);
      assertThat(found.providers())
          .extracting(provider -> (Object) provider.getClass())
          .containsExactly(Better.class, Good.class);
      assertThat(found.broken()).isEmpty();
    }
  }

  @Test
  void theContextClassLoaderIsAsked() throws IOException {
    Thread thread = Thread.currentThread();
    ClassLoader before = thread.getContextClassLoader();
    try (URLClassLoader planted = planted("one", Good.class.getName())) {
      thread.setContextClassLoader(planted);
      assertThat(TransportDiscovery.find().providers()).hasAtLeastOneElementOfType(Good.class);
      assertThat(
              TransportSelector.select(EngineConfig.of(Map.of()).withTransport("good"))
                  .choice()
                  .name())
          .isEqualTo("good");
      thread.setContextClassLoader(null);
      assertThat(TransportDiscovery.find().providers())
          .noneMatch(provider -> provider instanceof Good);
    } finally {
      thread.setContextClassLoader(before);
    }
  }

  @Test
  void aClassThatBothSeeCountsOnce() throws IOException {
    try (URLClassLoader one = planted("one", Good.class.getName());
        URLClassLoader other = planted("other", Good.class.getName())) {
      assertThat(TransportDiscovery.find(one, other).providers()).hasSize(1);
    }
  }

  @Test
  void twoCopiesOfAClassCountOnceAndTheContextsIsTaken() throws IOException {
    try (CopyingClassLoader copy = new CopyingClassLoader(services("one", Good.class.getName()));
        URLClassLoader other = planted("other", Good.class.getName())) {
      assertThat(TransportDiscovery.find(copy, other).providers())
          .singleElement()
          .satisfies(provider -> assertThat(provider.getClass().getClassLoader()).isSameAs(copy));
    }
  }

  @Test
  void aProviderThatCannotBeInstantiatedDoesNotHideTheOthers() throws IOException {
    try (URLClassLoader planted =
        planted("one", Throwing.class.getName(), NotLinked.class.getName(), Good.class.getName())) {
      TransportDiscovery found = TransportDiscovery.find(planted, planted);
      assertThat(found.providers()).singleElement().isInstanceOf(Good.class);
      assertThat(found.broken())
          .containsExactly(
              new TransportDiscovery.Broken(
                  Throwing.class.getName(),
                  "it could not be instantiated: java.lang.IllegalStateException: no licence"),
              new TransportDiscovery.Broken(
                  NotLinked.class.getName(),
                  "it could not be instantiated: java.lang.NoClassDefFoundError: some/Library"));
    }
  }

  @Test
  void aNamedClassThatIsNotThereOrNotAProviderDoesNotHideTheOthers() throws IOException {
    String missing = "com.acme.Missing";
    String other = NearestNameTest.class.getName();
    String hidden = Nameless.class.getName();
    try (URLClassLoader planted = planted("one", missing, other, hidden, Good.class.getName())) {
      TransportDiscovery found = TransportDiscovery.find(planted, planted);
      assertThat(found.providers()).singleElement().isInstanceOf(Good.class);
      assertThat(found.broken())
          .extracting(TransportDiscovery.Broken::name)
          .containsExactly(missing, other, hidden);
      assertThat(found.broken().get(0).reason()).contains("Provider com.acme.Missing not found");
      assertThat(found.broken().get(1).reason()).contains("not a subtype");
      assertThat(found.broken().get(2).reason()).contains("public");
    }
  }

  @Test
  void aServiceFileThatCannotBeReadDoesNotHideTheOthers() throws IOException {
    try (URLClassLoader planted =
        new PlantedClassLoader(
            services("one", "this is not a class name"), services("other", Good.class.getName()))) {
      TransportDiscovery found = TransportDiscovery.find(planted, planted);
      assertThat(found.providers()).singleElement().isInstanceOf(Good.class);
      assertThat(found.broken())
          .singleElement()
          .satisfies(
              broken -> {
                assertThat(broken.name()).isEqualTo("META-INF/services");
                assertThat(broken.reason()).contains("Illegal configuration-file syntax");
              });
    }
  }

  @Test
  void aClassLoaderThatAlwaysFailsEndsTheSearchInItAlone() throws IOException {
    ClassLoader failing =
        new ClassLoader(OWN) {
          @Override
          public Enumeration<URL> getResources(String name) throws IOException {
            throw new IOException("disk on fire");
          }
        };
    try (URLClassLoader own = planted("one", Good.class.getName())) {
      TransportDiscovery found = TransportDiscovery.find(failing, own);
      assertThat(found.providers()).singleElement().isInstanceOf(Good.class);
      assertThat(found.broken()).hasSize(1);
    }
  }

  @Test
  void whatOneClassLoaderCannotLoadButTheOtherCanIsNotBroken() throws IOException {
    ClassLoader blind =
        new PlantedClassLoader(services("one", Good.class.getName())) {
          @Override
          protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.equals(Good.class.getName())) {
              throw new ClassNotFoundException(name);
            }
            return super.loadClass(name, resolve);
          }
        };
    try (URLClassLoader own = planted("other", Good.class.getName());
        URLClassLoader none = planted("none")) {
      assertThat(TransportDiscovery.find(blind, none).broken())
          .extracting(TransportDiscovery.Broken::name)
          .containsExactly(Good.class.getName());
      TransportDiscovery found = TransportDiscovery.find(blind, own);
      assertThat(found.providers()).singleElement().isInstanceOf(Good.class);
      assertThat(found.broken()).isEmpty();
    }
  }

  @Test
  void aProviderWhoseDeclarationsFailIsBroken() {
    TransportDiscovery found =
        TransportDiscovery.of(List.of(new Undeclared(), new Nameless(), new Good()));
    assertThat(found.providers()).singleElement().isInstanceOf(Good.class);
    assertThat(found.broken())
        .containsExactly(
            new TransportDiscovery.Broken(
                Undeclared.class.getName(),
                "its declarations fail: java.lang.UnsupportedOperationException: later"),
            new TransportDiscovery.Broken(
                Nameless.class.getName(),
                "its declarations fail: java.lang.IllegalArgumentException: a name is empty"));
  }

  private URLClassLoader planted(String name, String... classes) throws IOException {
    return new PlantedClassLoader(services(name, classes));
  }

  /** A folder to put on a class path, that names the classes as transports. */
  private URL services(String name, String... classes) throws IOException {
    Path root = folder.resolve(name);
    Path file = root.resolve("META-INF/services").resolve(TransportProvider.class.getName());
    Files.createDirectories(file.getParent());
    Files.write(file, List.of(classes));
    return url(root);
  }

  private static URL url(Path path) throws MalformedURLException {
    return path.toUri().toURL();
  }

  /** Sees the classes of this test, and no services but those of the given folders. */
  private static class PlantedClassLoader extends URLClassLoader {
    private PlantedClassLoader(URL... services) {
      super(services, OWN);
    }

    @Override
    public Enumeration<URL> getResources(String name) throws IOException {
      return findResources(name);
    }
  }

  /** Defines its own copy of {@link Good}. */
  private static final class CopyingClassLoader extends PlantedClassLoader {
    private CopyingClassLoader(URL services) {
      super(services);
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (!name.equals(Good.class.getName())) {
        return super.loadClass(name, resolve);
      }
      Class<?> already = findLoadedClass(name);
      if (already != null) {
        return already;
      }
      try (InputStream in = OWN.getResourceAsStream(name.replace('.', '/') + ".class")) {
        byte[] bytes = in.readAllBytes();
        return defineClass(name, bytes, 0, bytes.length);
      } catch (IOException e) {
        throw new ClassNotFoundException(name, e);
      }
    }
  }

  /** Its superclass is public, so that a copy in another class loader may extend it. */
  public static final class Good extends PublicBase {
    public Good() {
      super("good", 50);
    }
  }

  public static final class Better extends PublicBase {
    public Better() {
      super("better", 60);
    }
  }

  public static final class Throwing extends PublicBase {
    public Throwing() {
      super("throwing", 70);
      throw new IllegalStateException("no licence");
    }
  }

  public static final class NotLinked extends PublicBase {
    public NotLinked() {
      super("not-linked", 70);
      throw new NoClassDefFoundError("some/Library");
    }
  }

  /** A planted transport that other packages and class loaders can extend. */
  public abstract static class PublicBase extends PlantedTransport {
    protected PublicBase(String name, int priority) {
      super(name, List.of(), priority, List.of(), Availability.available("planted"));
    }
  }

  private static final class Undeclared extends PlantedTransport {
    private Undeclared() {
      super("undeclared", List.of(), 1, List.of(), Availability.available(""));
    }

    @Override
    public List<Setting<?>> settings() {
      throw new UnsupportedOperationException("later");
    }
  }

  private static final class Nameless extends PlantedTransport {
    private Nameless() {
      super("", List.of(), 1, List.of(), Availability.available(""));
    }
  }
}
