package io.uccl.p2p.spi.nativelib;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** What the kernel says about this process's memory, and collections that are waited for. */
final class ProcessMemory {

  private ProcessMemory() {}

  /** Bytes of a range that are mapped. */
  static long mapped(long address, long length) {
    long sum = 0;
    for (String line : lines("/proc/self/maps")) {
      int dash = line.indexOf('-');
      long start = Long.parseUnsignedLong(line.substring(0, dash), 16);
      long end = Long.parseUnsignedLong(line.substring(dash + 1, line.indexOf(' ')), 16);
      if (start >= 0) { // Not [vsyscall], which is the kernel's.
        sum += Math.max(0, Math.min(end, address + length) - Math.max(start, address));
      }
    }
    return sum;
  }

  /** A line of /proc/self/status that is in kB, as bytes. */
  static long status(String name) {
    for (String line : lines("/proc/self/status")) {
      if (line.startsWith(name + ":")) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
      }
    }
    throw new AssertionError("no " + name + " in /proc/self/status");
  }

  private static List<String> lines(String file) {
    try {
      return Files.readAllLines(Path.of(file), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Collects garbage until the condition holds or 20 s are over; says whether it held. */
  static boolean collectUntil(BooleanSupplier condition) {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() - end > 0) {
        return false;
      }
      long seen = Mapping.unmappedCount();
      System.gc();
      Mapping.awaitUnmapped(seen, TimeUnit.MILLISECONDS.toNanos(100));
    }
    return true;
  }

  /** Collects garbage; returns when that has unmapped what was mapped and dropped in here. */
  static void collect() {
    for (int i = 0; i < 2; i++) {
      long seen = Mapping.unmappedCount();
      mapAndForget();
      if (!collectUntil(() -> Mapping.unmappedCount() > seen)) {
        throw new AssertionError("memory that is not reachable is not unmapped");
      }
    }
  }

  private static void mapAndForget() {
    NativeMemory.allocate(1).close();
  }
}
