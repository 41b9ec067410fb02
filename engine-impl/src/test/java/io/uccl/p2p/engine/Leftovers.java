package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** Threads and descriptors of this process, and waiting for what has no event of its own. */
final class Leftovers {

  private static final long WAIT_NANOS = TimeUnit.SECONDS.toNanos(30);

  private Leftovers() {}

  /** Names of the engine's threads; the one that frees unreachable memory stays by design. */
  static Set<String> threads() {
    Set<String> names = new TreeSet<>();
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      String name = thread.getName();
      if (name.startsWith("p2p-") && !name.equals("p2p-memory-cleaner")) {
        names.add(name);
      }
    }
    return names;
  }

  /** Sockets, selectors and event descriptors. */
  static int descriptors() {
    int count = 0;
    try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path descriptor : all) {
        String target = target(descriptor);
        if (target.startsWith("socket:") || target.startsWith("anon_inode:")) {
          count++;
        }
      }
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return count;
  }

  private static String target(Path descriptor) {
    try {
      return Files.readSymbolicLink(descriptor).toString();
    } catch (IOException e) {
      return "";
    }
  }

  static void until(String what, BooleanSupplier condition) {
    long start = System.nanoTime();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - start).as("waited for: %s", what).isLessThan(WAIT_NANOS);
      Thread.yield();
    }
  }
}
