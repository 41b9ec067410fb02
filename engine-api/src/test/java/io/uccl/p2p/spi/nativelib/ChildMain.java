package io.uccl.p2p.spi.nativelib;

import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.MemorySpan;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;

/** What tests do in a JVM of its own. */
final class ChildMain {

  private ChildMain() {}

  public static void main(String[] arguments) {
    switch (arguments[0]) {
      case "availability" -> {
        Availability shim = NativeMemory.availability();
        System.out.println(shim.available() + "|" + shim.detail() + "|" + shim.remedy());
      }
      case "churn" -> churn(Integer.parseInt(arguments[1]), Long.parseLong(arguments[2]));
      case "exercise" -> exercise();
      case "refused" -> closeWhatSomebodyElseUnmapped();
      default -> throw new IllegalArgumentException(arguments[0]);
    }
  }

  /** Allocates and closes, and makes next to no garbage that would start a collection. */
  private static void churn(int cycles, long length) {
    for (int i = 0; i < cycles; i++) {
      try (NativeMemory.Allocation allocation = NativeMemory.allocate(length)) {
        allocation.span().window(0).put(0, (byte) 1);
      } catch (RegistrationException e) {
        System.out.println("cycle " + i + ": " + e.getMessage());
        return;
      }
    }
    System.out.println("churned");
  }

  private static void closeWhatSomebodyElseUnmapped() {
    NativeMemory.Allocation allocation = NativeMemory.allocate(1 << 20);
    MemorySpan span = allocation.span();
    check(MemoryShim.unmap(span.address(), span.length()) == 0);
    try {
      allocation.close();
    } catch (IllegalStateException e) {
      System.out.println(e.getMessage());
    } finally {
      Reference.reachabilityFence(span);
    }
  }

  /** Every native method, with good and bad arguments. */
  private static void exercise() {
    try (NativeMemory.Allocation allocation = NativeMemory.allocate(10_000)) {
      MemorySpan span = allocation.span();
      ByteBuffer view = NativeMemory.wrap(span.address() + 1, 9_999).slice(0, 8);
      view.putLong(0, 42);
      check(span.slice(1, 8).getLong() == 42);
      check(NativeMemory.address(view) == span.address() + 1);
    }
    check(NativeMemory.pageSize() >= 4096);
    check(MemoryShim.map(-1) == -Errno.EINVAL);
    check(MemoryShim.map(Long.MAX_VALUE) == -Errno.ENOMEM);
    check(MemoryShim.discard(1, 1) == -Errno.EINVAL);
    check(MemoryShim.unmap(0, -1) == -Errno.EINVAL);
    check(MemoryShim.bufferAddress(ByteBuffer.allocate(1)) == -Errno.EINVAL);
    check(MemoryShim.bufferAddress(null) == -Errno.EINVAL);
    check(MemoryShim.bufferAt(0, 1) == null);
    check(MemoryShim.bufferAt(4096, -1) == null);
    System.out.println("exercised");
  }

  private static void check(boolean condition) {
    if (!condition) {
      throw new AssertionError();
    }
  }
}
