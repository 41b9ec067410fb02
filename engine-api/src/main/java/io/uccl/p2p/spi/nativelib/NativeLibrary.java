package io.uccl.p2p.spi.nativelib;

import io.uccl.p2p.spi.Availability;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;
import java.util.Objects;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * One native library: found, unpacked, loaded and checked at its first use, and the outcome kept.
 *
 * <p><b>Where it is looked for</b>, the first that applies:
 *
 * <ol>
 *   <li>in the folder that the system property {@value #DIRECTORY_PROPERTY} names, and only there;
 *   <li>in the folders of {@code java.library.path};
 *   <li>as the resource {@code META-INF/native/<os>-<arch>/lib<name>.so} beside the binding's
 *       class, {@code linux-x86_64} and {@code linux-aarch64}. It is unpacked into a new folder of
 *       {@code java.io.tmpdir} that only this user can enter, and deleted again once it is loaded.
 * </ol>
 *
 * <p><b>Failure is a value.</b> {@link #availability()} does not throw. What it says is about one
 * file, names it, and says what to do. Neither success nor failure changes afterwards: a library
 * that was loaded cannot be replaced within one process.
 *
 * <p><b>Threads.</b> Any; the first one loads, others wait for it.
 *
 * <p>A native that this project builds includes {@code p2p_shim.h}; it reports the version there,
 * and Java code expects {@link #ABI_VERSION}.
 */
public final class NativeLibrary {

  /** System property: the only folder to take native libraries from. */
  public static final String DIRECTORY_PROPERTY = "io.uccl.p2p.native.dir";

  /** {@code P2P_SHIM_ABI_VERSION} of the natives that belong to these classes. */
  public static final int ABI_VERSION = 1;

  private static final Pattern NAME = Pattern.compile("[a-z][a-z0-9_]*");

  private static final String REINSTALL =
      "Use the artifact as it was released, or build it on a machine with cmake, make and a C"
          + " compiler";

  private final String name;
  private final int abiVersion;
  private final Binding binding;
  private final Surroundings surroundings;
  private volatile @Nullable Availability outcome;

  /**
   * Names a library; nothing is loaded yet.
   *
   * @param name without {@code lib} and {@code .so}: lower-case letters, digits and underscores
   * @param abiVersion what the library must report
   * @param binding the Java side; its class's loader finds the resource
   */
  public NativeLibrary(String name, int abiVersion, Binding binding) {
    this(name, abiVersion, binding, Surroundings.ofProcess());
  }

  NativeLibrary(String name, int abiVersion, Binding binding, Surroundings surroundings) {
    if (!NAME.matcher(name).matches()) {
      throw new IllegalArgumentException("not a library's name: " + name);
    }
    this.name = name;
    this.abiVersion = abiVersion;
    this.binding = Objects.requireNonNull(binding);
    this.surroundings = surroundings;
  }

  /**
   * The Java side of a library.
   *
   * <p>The JVM binds a native method to libraries that the method's own class loader loaded. So it
   * is the binding that loads, with code in the class that has the native methods, or beside it:
   *
   * <pre>{@code
   * public void load(String file) {
   *   System.load(file);
   * }
   * }</pre>
   */
  public interface Binding {

    /** Calls {@link System#load} with this absolute path. */
    void load(String file);

    /** Calls the native method that returns the library's {@code P2P_SHIM_ABI_VERSION}. */
    int abiVersion();
  }

  /**
   * What the process's environment says about natives.
   *
   * @param osName {@code os.name}
   * @param osArch {@code os.arch}
   * @param directory {@link #DIRECTORY_PROPERTY}, or null
   * @param libraryPath {@code java.library.path}
   * @param temporary {@code java.io.tmpdir}
   */
  record Surroundings(
      String osName,
      String osArch,
      @Nullable String directory,
      String libraryPath,
      String temporary) {

    static Surroundings ofProcess() {
      return new Surroundings(
          System.getProperty("os.name", ""),
          System.getProperty("os.arch", ""),
          System.getProperty(DIRECTORY_PROPERTY),
          System.getProperty("java.library.path", ""),
          System.getProperty("java.io.tmpdir", "/tmp"));
    }

    /** {@code <os>-<arch>} as resources are named, or null if there are no natives for it. */
    @Nullable String platform() {
      if (!osName.toLowerCase(Locale.ROOT).equals("linux")) {
        return null;
      }
      return switch (osArch.toLowerCase(Locale.ROOT)) {
        case "amd64", "x86_64" -> "linux-x86_64";
        case "aarch64", "arm64" -> "linux-aarch64";
        default -> null;
      };
    }
  }

  /** Whether the library is loaded and fits; loads it at the first call. Never throws. */
  public Availability availability() {
    Availability known = outcome;
    return known != null ? known : load();
  }

  private synchronized Availability load() {
    Availability known = outcome;
    if (known == null) {
      try {
        known = findAndLoad();
      } catch (RuntimeException e) {
        known =
            Availability.unavailable(
                fileName() + " could not be looked for: " + text(e),
                "Correct the system properties that the text is about");
      }
      outcome = known;
    }
    return known;
  }

  private Availability findAndLoad() {
    String platform = surroundings.platform();
    if (platform == null) {
      return Availability.unavailable(
          "there is no "
              + fileName()
              + " for "
              + surroundings.osName()
              + " on "
              + surroundings.osArch(),
          "Use Linux on x86_64 or aarch64");
    }
    String directory = surroundings.directory();
    if (directory != null) {
      Path file = Path.of(directory).resolve(fileName()).toAbsolutePath();
      if (!Files.isRegularFile(file)) {
        return Availability.unavailable(
            "there is no file " + file + ", and -D" + DIRECTORY_PROPERTY + " names that folder",
            "Put the library there, or leave the property out to use the one in the jar");
      }
      return load(file, file.toString(), false);
    }
    for (String folder : surroundings.libraryPath().split(File.pathSeparator, -1)) {
      if (!folder.isEmpty()) {
        Path file = Path.of(folder).resolve(fileName()).toAbsolutePath();
        if (Files.isRegularFile(file)) {
          return load(file, file + " (from java.library.path)", false);
        }
      }
    }
    return unpackAndLoad("META-INF/native/" + platform + "/" + fileName());
  }

  private Availability unpackAndLoad(String resource) {
    try (InputStream packed = binding.getClass().getResourceAsStream("/" + resource)) {
      if (packed == null) {
        return Availability.unavailable(
            "there is no " + resource + " in the jar or folder of " + binding.getClass().getName(),
            REINSTALL);
      }
      Path folder = privateFolder();
      try {
        Path file = folder.resolve(fileName());
        Files.copy(packed, file);
        return load(file, file + " (unpacked from " + resource + ")", true);
      } finally {
        // A library stays mapped when its file is gone.
        Files.deleteIfExists(folder.resolve(fileName()));
        Files.deleteIfExists(folder);
      }
    } catch (IOException e) {
      return Availability.unavailable(
          resource + " could not be unpacked into " + surroundings.temporary() + ": " + text(e),
          "Make room there, or name a folder that this user can write to with -Djava.io.tmpdir=DIR");
    }
  }

  private Path privateFolder() throws IOException {
    FileAttribute<?> ownerOnly =
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));
    return Files.createTempDirectory(Path.of(surroundings.temporary()), "p2p-native-", ownerOnly)
        .toAbsolutePath();
  }

  private Availability load(Path file, String shown, boolean unpacked) {
    try {
      binding.load(file.toString());
    } catch (LinkageError | RuntimeException e) {
      return Availability.unavailable(
          shown + " could not be loaded: " + text(e), loadRemedy(text(e), unpacked));
    }
    String replace =
        unpacked
            ? REINSTALL
            : "Remove " + file + ", or put the library of this version of the jar there";
    int reported;
    try {
      reported = binding.abiVersion();
    } catch (LinkageError | RuntimeException e) {
      return Availability.unavailable(
          shown + " was loaded but is another library: " + text(e), replace);
    }
    if (reported != abiVersion) {
      return Availability.unavailable(
          shown + " has ABI version " + reported + " where " + abiVersion + " is needed", replace);
    }
    return Availability.available(shown);
  }

  /** What to do when the dynamic linker says {@code text}. */
  static String loadRemedy(String text, boolean unpacked) {
    if (text.contains("failed to map segment")) {
      // The linker's words where a file system is mounted noexec.
      return unpacked
          ? "The file system is probably mounted noexec: name a folder elsewhere with"
              + " -Djava.io.tmpdir=DIR, or put the library into one and name that with -D"
              + DIRECTORY_PROPERTY
              + "=DIR"
          : "The file system is probably mounted noexec: put the library into a folder elsewhere"
              + " and name it with -D"
              + DIRECTORY_PROPERTY
              + "=DIR";
    }
    if (text.contains("Illegal native access")) {
      return "Start the JVM with --enable-native-access=io.uccl.p2p on the module path, or"
          + " =ALL-UNNAMED on the class path";
    }
    if (text.contains("already loaded in another classloader")) {
      return "Load io.uccl.p2p once in the process, or leave -D"
          + DIRECTORY_PROPERTY
          + " and java.library.path out: each class loader then unpacks its own copy";
    }
    if (text.contains("GLIBC_")) {
      return "Build the project on this machine: its C library is older than the one of the build";
    }
    return unpacked
        ? REINSTALL
        : "Replace the file by the one of this version of the jar, or leave -D"
            + DIRECTORY_PROPERTY
            + " and java.library.path out to use that";
  }

  private String fileName() {
    return "lib" + name + ".so";
  }

  /** One line about a throwable. */
  private static String text(Throwable e) {
    String message = e.getMessage();
    String kind = e instanceof UnsatisfiedLinkError ? "" : e.getClass().getSimpleName() + ": ";
    return message == null
        ? e.getClass().getName()
        : kind + message.replaceAll("\\s*\\R\\s*", " ").strip();
  }
}
