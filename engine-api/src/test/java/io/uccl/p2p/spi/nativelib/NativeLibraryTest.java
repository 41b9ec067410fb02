package io.uccl.p2p.spi.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.nativelib.NativeLibrary.Binding;
import io.uccl.p2p.spi.nativelib.NativeLibrary.Surroundings;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NativeLibraryTest {

  @TempDir Path folder;

  /** Has a native method that no library has. */
  private static final class Stranger implements Binding {
    @Override
    @SuppressWarnings("UnsafeDynamicallyLoadedCode")
    public void load(String file) {
      System.load(file);
    }

    @Override
    public int abiVersion() {
      return strangersVersion();
    }

    private static native int strangersVersion();
  }

  /** Loads nothing and notes what it was asked. */
  private static final class Recorder implements Binding {
    final AtomicInteger loads = new AtomicInteger();
    final List<String> permissions = new ArrayList<>();

    @Override
    public void load(String file) {
      loads.incrementAndGet();
      try {
        permissions.add(
            PosixFilePermissions.toString(
                Files.getPosixFilePermissions(Path.of(file).getParent())));
      } catch (IOException e) {
        throw new AssertionError(e);
      }
    }

    @Override
    public int abiVersion() {
      return NativeLibrary.ABI_VERSION;
    }
  }

  @Test
  void unpacksLoadsAndLeavesNoFileBehind() throws Exception {
    Natives.assumeShim();
    Availability shim = memory(NativeLibrary.ABI_VERSION, packed()).availability();
    assertThat(shim.available()).as(shim.detail()).isTrue();
    assertThat(shim.detail()).contains("libp2p_memory.so", "META-INF/native/linux-");
    assertThat(shim.remedy()).isEmpty();
    assertThat(filesIn(folder)).isEmpty();
  }

  @Test
  void unpacksWhereOnlyThisUserCanEnter() throws Exception {
    Natives.assumeShim();
    Recorder recorder = new Recorder();
    Availability shim =
        new NativeLibrary("p2p_memory", NativeLibrary.ABI_VERSION, recorder, packed())
            .availability();
    assertThat(shim.available()).as(shim.detail()).isTrue();
    assertThat(recorder.permissions).containsExactly("rwx------");
  }

  @Test
  void loadsOnceForAllThreads() throws Exception {
    Path library = Files.writeString(folder.resolve("libp2p_recorded.so"), "");
    Recorder recorder = new Recorder();
    NativeLibrary once =
        new NativeLibrary(
            "p2p_recorded",
            NativeLibrary.ABI_VERSION,
            recorder,
            linux(library.getParent().toString(), ""));
    ExecutorService threads = Executors.newFixedThreadPool(8);
    try {
      CountDownLatch start = new CountDownLatch(8);
      List<Future<Availability>> results = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        results.add(
            threads.submit(
                () -> {
                  start.countDown();
                  start.await();
                  return once.availability();
                }));
      }
      for (Future<Availability> result : results) {
        assertThat(result.get()).isSameAs(once.availability());
      }
    } finally {
      threads.shutdownNow();
    }
    assertThat(recorder.loads).hasValue(1);
  }

  @Test
  void keepsFailureToo() throws Exception {
    NativeLibrary library = memory(1, linux(folder.toString(), ""));
    Availability first = library.availability();
    assertThat(first.available()).isFalse();
    copyOfTheShimOrText(folder.resolve("libp2p_memory.so"));
    assertThat(library.availability()).isSameAs(first);
  }

  @Test
  void takesTheLibraryFromTheNamedFolder() throws Exception {
    Natives.assumeShim();
    Path file = copyOfTheShimOrText(folder.resolve("libp2p_memory.so"));
    Availability shim =
        memory(NativeLibrary.ABI_VERSION, linux(folder.toString(), "/nowhere")).availability();
    assertThat(shim).isEqualTo(Availability.available(file.toString()));
  }

  @Test
  void takesTheLibraryFromTheLibraryPath() throws Exception {
    Natives.assumeShim();
    Path file = copyOfTheShimOrText(folder.resolve("libp2p_memory.so"));
    Availability shim =
        memory(NativeLibrary.ABI_VERSION, linux(null, "/nowhere::" + folder)).availability();
    assertThat(shim).isEqualTo(Availability.available(file + " (from java.library.path)"));
  }

  @Test
  void theNamedFolderIsTheOnlyOne() {
    Availability shim = memory(1, linux(folder.toString(), "")).availability();
    assertUnavailable(
        shim, folder + "/libp2p_memory.so", "-Dio.uccl.p2p.native.dir names that folder");
    assertThat(shim.remedy()).contains("leave the property out");
  }

  @Test
  void namesTheMissingResource() {
    Availability missing =
        new NativeLibrary("p2p_missing", 1, new Recorder(), packed()).availability();
    assertUnavailable(missing, "META-INF/native/linux-", "libp2p_missing.so", "Recorder");
    assertThat(missing.remedy()).contains("cmake");
  }

  @ParameterizedTest
  @CsvSource({
    "Mac OS X,aarch64,",
    "Windows 11,amd64,",
    "Linux,riscv64,",
    "Linux,x86,",
    "Linux,amd64,linux-x86_64",
    "Linux,x86_64,linux-x86_64",
    "Linux,aarch64,linux-aarch64",
    "LINUX,ARM64,linux-aarch64"
  })
  void knowsItsPlatforms(String os, String arch, String platform) {
    Surroundings machine = new Surroundings(os, arch, null, "", folder.toString());
    assertThat(machine.platform()).isEqualTo(platform);
    if (platform == null) {
      Availability shim = memory(1, machine).availability();
      assertUnavailable(shim, "libp2p_memory.so", os, arch);
      assertThat(shim.remedy()).contains("Linux", "x86_64", "aarch64");
    }
  }

  @Test
  void namesTheCorruptFile() throws Exception {
    Path file = Files.writeString(folder.resolve("libp2p_memory.so"), "not a library ".repeat(99));
    Availability shim = memory(1, linux(folder.toString(), "")).availability();
    assertUnavailable(shim, file.toString(), "could not be loaded", "ELF");
    assertThat(shim.remedy()).contains("Replace the file", "io.uccl.p2p.native.dir");
  }

  @Test
  void namesTheFileOfAnotherMachine() throws Exception {
    Natives.assumeShim();
    Path file = copyOfTheShimOrText(folder.resolve("libp2p_memory.so"));
    byte[] bytes = Files.readAllBytes(file);
    bytes[18] = 22; // e_machine: S/390
    Files.write(file, bytes);
    assertUnavailable(
        memory(1, linux(folder.toString(), "")).availability(),
        file.toString(),
        "could not be loaded");
  }

  @Test
  void refusesAnotherAbi() throws Exception {
    Natives.assumeShim();
    Path file = copyOfTheShimOrText(folder.resolve("libp2p_memory.so"));
    Availability shim = memory(4711, linux(folder.toString(), "")).availability();
    assertUnavailable(
        shim,
        file.toString(),
        "has ABI version " + NativeLibrary.ABI_VERSION + " where 4711 is needed");
    assertThat(shim.remedy()).contains("Remove " + file);
  }

  @Test
  void refusesAnotherLibrary() throws Exception {
    Path file = Files.copy(someSystemLibrary(), folder.resolve("libp2p_stranger.so"));
    Availability stranger =
        new NativeLibrary("p2p_stranger", 1, new Stranger(), linux(folder.toString(), ""))
            .availability();
    assertUnavailable(stranger, file.toString(), "is another library", "strangersVersion");
  }

  @Test
  void namesTheFolderThatCannotBeWrittenTo() throws Exception {
    Natives.assumeShim();
    Path notAFolder = Files.writeString(folder.resolve("file"), "");
    Surroundings machine =
        new Surroundings("Linux", System.getProperty("os.arch"), null, "", notAFolder.toString());
    Availability shim = memory(1, machine).availability();
    assertUnavailable(shim, "libp2p_memory.so", notAFolder.toString());
    assertThat(shim.remedy()).contains("-Djava.io.tmpdir=DIR");
  }

  @Test
  void probingNeverThrows() {
    Availability shim = memory(1, linux("\0", "")).availability();
    assertUnavailable(shim, "libp2p_memory.so", "InvalidPathException");
    Binding broken =
        new Binding() {
          @Override
          public void load(String file) {
            throw new SecurityException("not here");
          }

          @Override
          public int abiVersion() {
            return 1;
          }
        };
    assertThat(folder.resolve("libp2p_broken.so").toFile()).satisfies(f -> f.createNewFile());
    assertUnavailable(
        new NativeLibrary("p2p_broken", 1, broken, linux(folder.toString(), "")).availability(),
        "libp2p_broken.so could not be loaded: SecurityException: not here");
  }

  @Test
  void refusesNamesThatArePaths() {
    assertThatThrownBy(() -> new NativeLibrary("../x", 1, new Recorder()))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void saysWhatToDoAboutNoexec() throws Exception {
    Natives.assumeShim();
    String mount = "mount -t tmpfs -o noexec none " + folder;
    Child trial = Child.run(List.of("unshare", "-rm", "/bin/sh", "-c", mount));
    Assumptions.assumeTrue(
        trial.exit() == 0, "this user cannot mount a file system: " + trial.output());
    List<String> command = new ArrayList<>(List.of("unshare", "-rm"));
    command.addAll(
        Child.script(
            mount + " && exec \"$@\"",
            Child.java(List.of("-Djava.io.tmpdir=" + folder), "availability")));
    Child child = Child.run(command);
    assertThat(child.output())
        .startsWith("false|" + folder)
        .contains("could not be loaded", "probably mounted noexec", "-Djava.io.tmpdir=DIR");
  }

  @Test
  void saysWhatToDoAboutDeniedNativeAccess() throws Exception {
    Natives.assumeShim();
    Assumptions.assumeTrue(
        Runtime.version().feature() >= 24, "this JVM cannot deny native access altogether");
    List<String> command = Child.java(List.of("--illegal-native-access=deny"), "availability");
    command.remove("--enable-native-access=ALL-UNNAMED");
    assertThat(Child.run(command).output())
        .startsWith("false|")
        .contains("Illegal native access", "--enable-native-access=io.uccl.p2p", "ALL-UNNAMED");
  }

  @Test
  void oldCLibraryAndSecondLoaderHaveRemediesOfTheirOwn() {
    assertThat(NativeLibrary.loadRemedy("version `GLIBC_2.99' not found", true))
        .contains("Build the project on this machine");
    assertThat(NativeLibrary.loadRemedy("failed to map segment from shared object", false))
        .contains("noexec", "io.uccl.p2p.native.dir");
  }

  @Test
  void twoClassLoadersEachHaveTheirOwn() throws Exception {
    Natives.assumeShim();
    URL[] classes = {
      NativeMemory.class.getProtectionDomain().getCodeSource().getLocation(),
    };
    try (URLClassLoader other = new URLClassLoader(classes, ClassLoader.getPlatformClassLoader())) {
      Class<?> memory = Class.forName(NativeMemory.class.getName(), true, other);
      assertThat(memory).isNotSameAs(NativeMemory.class);
      assertThat(memory.getMethod("pageSize").invoke(null)).isEqualTo(NativeMemory.pageSize());
    }
  }

  @Test
  void aFileThatAnotherLoaderHoldsIsNamed() throws Exception {
    Natives.assumeShim();
    Path file = copyOfTheShimOrText(folder.resolve("libp2p_memory.so"));
    assertThat(memory(1, linux(folder.toString(), "")).availability().available()).isTrue();
    URL[] classes = {
      Stranger.class.getProtectionDomain().getCodeSource().getLocation(),
      NativeLibrary.class.getProtectionDomain().getCodeSource().getLocation(),
    };
    try (URLClassLoader other = new URLClassLoader(classes, ClassLoader.getPlatformClassLoader())) {
      Class<?> probe = Class.forName(LoaderProbe.class.getName(), true, other);
      Object text = probe.getMethod("probe", String.class).invoke(null, folder.toString());
      assertThat((String) text)
          .startsWith("false|" + file)
          .contains("already loaded in another classloader", "unpacks its own copy");
    }
  }

  private static NativeLibrary memory(int abi, Surroundings machine) {
    return new NativeLibrary("p2p_memory", abi, new MemoryShim(), machine);
  }

  private Surroundings packed() {
    return linux(null, "");
  }

  private Surroundings linux(String directory, String libraryPath) {
    return new Surroundings(
        "Linux", System.getProperty("os.arch"), directory, libraryPath, folder.toString());
  }

  private static Path copyOfTheShimOrText(Path target) throws IOException {
    String resource = "/META-INF/native/" + Surroundings.ofProcess().platform();
    try (InputStream in = NativeMemory.class.getResourceAsStream(resource + "/libp2p_memory.so")) {
      if (in == null) {
        return Files.writeString(target, "text");
      }
      Files.copy(in, target);
      return target;
    }
  }

  /** The C library's mathematics, which every JVM has loaded. */
  private static Path someSystemLibrary() throws IOException {
    try (Stream<String> lines = Files.lines(Path.of("/proc/self/maps"), StandardCharsets.UTF_8)) {
      return lines
          .filter(line -> line.contains("/libm.so") || line.contains("/libm-"))
          .map(line -> Path.of(line.substring(line.indexOf('/'))))
          .findFirst()
          .orElseThrow();
    }
  }

  private static void assertUnavailable(Availability what, String... parts) {
    assertThat(what.available()).isFalse();
    assertThat(what.detail()).contains(parts).doesNotContain("\n").doesNotEndWith(".");
    assertThat(what.remedy()).isNotEmpty();
  }

  private static List<Path> filesIn(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }
}
