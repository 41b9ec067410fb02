package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.lang.ref.Cleaner;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * What this process takes of what an engine could leave behind: threads, open files, off-heap
 * memory.
 *
 * @param threads names of the engine's threads
 * @param files what the file descriptors point to, with their numbers
 * @param offHeapBytes direct buffers and mapped memory; 0 if that was not looked at
 */
record Footprint(Set<String> threads, Set<String> files, long offHeapBytes) {

  private static final Cleaner CLEANER = Cleaner.create();

  /** As it is now; without the memory, which is known only after a collection. */
  static Footprint now() {
    return new Footprint(threadNames(), openFiles(), 0);
  }

  /** As it is when the unreachable buffers are gone. */
  static Footprint collected() throws InterruptedException {
    collectGarbage();
    return new Footprint(threadNames(), openFiles(), offHeap());
  }

  /** What is here and not in an earlier one; empty if nothing is. */
  String beyond(Footprint before) {
    Set<String> moreThreads = new TreeSet<>(threads);
    moreThreads.removeAll(before.threads);
    Set<String> moreFiles = new TreeSet<>(files);
    moreFiles.removeAll(before.files);
    long moreBytes = offHeapBytes - before.offHeapBytes;
    StringBuilder text = new StringBuilder();
    if (!moreThreads.isEmpty()) {
      text.append("threads ").append(moreThreads).append(' ');
    }
    // The count decides: a file of the runner may have been opened anew under another number.
    if (files.size() > before.files.size()) {
      text.append("files ").append(moreFiles).append(' ');
    }
    if (moreBytes > 0) {
      text.append(moreBytes).append(" off-heap bytes");
    }
    return text.toString();
  }

  private static Set<String> threadNames() {
    Set<String> names = new TreeSet<>();
    for (Thread thread : Thread.getAllStackTraces().keySet()) {
      // The one that unmaps unreachable memory stays, by design.
      if (thread.getName().startsWith("p2p-") && !thread.getName().equals("p2p-memory-cleaner")) {
        names.add(thread.getName());
      }
    }
    return names;
  }

  private static Set<String> openFiles() {
    Set<String> targets = new TreeSet<>();
    try (DirectoryStream<Path> all = Files.newDirectoryStream(Path.of("/proc/self/fd"))) {
      for (Path descriptor : all) {
        String target = target(descriptor);
        if (target.startsWith("socket:") || target.startsWith("anon_inode:")) {
          targets.add(descriptor.getFileName() + " " + target);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return targets;
  }

  private static String target(Path descriptor) {
    try {
      return Files.readSymbolicLink(descriptor).toString();
    } catch (IOException e) {
      // It was closed in the meantime.
      return "";
    }
  }

  private static long offHeap() {
    return ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
            .filter(pool -> pool.getName().equals("direct"))
            .mapToLong(BufferPoolMXBean::getMemoryUsed)
            .sum()
        + NativeMemory.mappedBytes();
  }

  /** Returns when what was unreachable before has been cleaned, as far as that can be told. */
  private static void collectGarbage() throws InterruptedException {
    for (int round = 0; round < 2; round++) {
      CountDownLatch cleaned = new CountDownLatch(1);
      CLEANER.register(new Object(), cleaned::countDown);
      System.gc();
      if (!cleaned.await(10, TimeUnit.SECONDS)) {
        throw new AssertionError("the garbage collector does not run");
      }
    }
  }
}
