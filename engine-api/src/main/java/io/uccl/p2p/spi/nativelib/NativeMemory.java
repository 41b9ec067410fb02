package io.uccl.p2p.spi.nativelib;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.MemorySpan;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Memory of any length and by address, which the JDK alone does not offer at this level: the Java
 * face of the memory shim.
 *
 * <p><b>Threads.</b> Any, for every method here.
 *
 * <p><b>Without the shim</b> {@link #availability()} says why; the other methods throw {@link
 * RegistrationException} with that reason.
 */
public final class NativeMemory {

  /** Beyond what user space of x86-64 (57 bits, half of it) and aarch64 can address. */
  private static final long END_OF_ADDRESSES = 1L << 56;

  private NativeMemory() {}

  /** Whether the shim can be used; loads it at the first call. Never throws. */
  public static Availability availability() {
    return MemoryShim.LIBRARY.availability();
  }

  /**
   * Allocates zeroed, page-aligned memory. Pages are taken from the machine when first touched,
   * huge ones (2 MiB on x86-64) where the kernel has them.
   *
   * @param length bytes, 1 and more; counted up to whole pages
   * @return its owner: close it to give the memory back
   * @throws IllegalArgumentException if {@code length} is below 1
   * @throws RegistrationException if there is no such memory; the errno is in its detail
   */
  public static Allocation allocate(long length) {
    if (length < 1) {
      throw new IllegalArgumentException("an allocation has at least one byte, not " + length);
    }
    String operation = "allocation of " + length + " bytes";
    requireShim(operation);
    long result = Mapping.map(length);
    if (result < 0) {
      int errno = (int) -result;
      throw new RegistrationException(
          "memory could not be allocated",
          FailureDetail.remedy(allocationRemedy(errno))
              .withOperation(operation, "")
              .withProvider(errno, Errno.describe(errno)));
    }
    return new Allocation(Mapping.span(result, length));
  }

  private static String allocationRemedy(int errno) {
    return errno == Errno.EAGAIN
        ? "Ask for less, or raise the limit of locked memory (ulimit -l)"
        : "Ask for less, close what is not needed, or raise what limits this process: its address"
            + " space (ulimit -v), the container's or the machine's memory, vm.overcommit_memory";
  }

  /**
   * A span over memory that the caller owns, by its address: the host's, or a GPU's where CUDA's
   * driver says so.
   *
   * <p>The caller promises that the range is mapped, readable and writable for as long as the span,
   * its buffers or their views are used. This cannot be checked: touching memory that is gone takes
   * the JVM down.
   *
   * @param address of the first byte, in this process
   * @param length bytes, 1 and more
   * @throws IllegalArgumentException if no process can have this range
   * @throws RegistrationException if the shim is missing, or the range is CUDA's managed memory or
   *     only in part a GPU's
   */
  public static MemorySpan wrap(long address, long length) {
    if (address < 1 || length < 1 || length > END_OF_ADDRESSES - address) {
      throw new IllegalArgumentException(
          "no memory is at address 0x" + Long.toHexString(address) + " with length " + length);
    }
    requireShim("use of memory by its address");
    int device = CudaMemory.device(address, length);
    return device >= 0
        ? MemorySpan.ofCuda(address, length, device)
        : MemorySpan.of(address, length, (offset, size) -> bufferAt(address + offset, size));
  }

  /**
   * The virtual address of a direct buffer's byte 0, whatever its position and limit. It means
   * something for as long as the buffer is reachable.
   *
   * @throws IllegalArgumentException if the buffer is on the heap
   * @throws RegistrationException if the shim is missing
   */
  public static long address(ByteBuffer direct) {
    if (!direct.isDirect()) {
      throw new IllegalArgumentException("a buffer on the heap has no address");
    }
    requireShim("address of a buffer");
    long address = MemoryShim.bufferAddress(direct);
    if (address < 0) {
      throw new IllegalArgumentException("the JVM gives no address for " + direct);
    }
    return address;
  }

  /**
   * Bytes of a page of memory.
   *
   * @throws RegistrationException if the shim is missing
   */
  public static long pageSize() {
    requireShim("size of a page");
    return MemoryShim.pageSize();
  }

  /**
   * Bytes of all allocations of this process whose addresses are still mapped, closed ones that
   * something can reach included. For diagnosis.
   */
  public static long mappedBytes() {
    return Mapping.mappedBytes();
  }

  static ByteBuffer bufferAt(long address, int size) {
    ByteBuffer buffer = MemoryShim.bufferAt(address, size);
    if (buffer == null) {
      throw new IllegalArgumentException("no buffer can have " + size + " bytes at " + address);
    }
    return buffer;
  }

  private static void requireShim(String operation) {
    Availability shim = availability();
    if (!shim.available()) {
      throw new RegistrationException(
          "the native memory library is missing: " + shim.detail(),
          FailureDetail.remedy(shim.remedy()).withOperation(operation, ""));
    }
  }

  /**
   * Allocated memory and the right to give it back.
   *
   * <p><b>Two steps.</b> {@link #close()} gives the memory back at once: from then on it reads
   * zeros. Its addresses stay mapped until neither the span nor any of its buffers, their slices,
   * duplicates or typed views is reachable, so a stale view never faults. Without a close both
   * happen when nothing is reachable any more.
   *
   * <p><b>Addresses.</b> A number keeps nothing reachable: who hands {@link MemorySpan#address()}
   * to native code or hardware keeps the span for as long as that may use it.
   *
   * <p><b>Threads.</b> Any. Who still writes while another thread closes, or later through a stale
   * view, takes pages again; they are given back when the addresses are.
   */
  public static final class Allocation implements AutoCloseable {

    private final MemorySpan span;
    private final AtomicBoolean closed = new AtomicBoolean();

    private Allocation(MemorySpan span) {
      this.span = span;
    }

    /** The memory; after {@link #close()} the same span, which then reads zeros. */
    public MemorySpan span() {
      return span;
    }

    /**
     * Gives the memory back to the machine. Idempotent.
     *
     * @throws IllegalStateException if somebody else unmapped or locked it, so that the kernel
     *     refuses
     */
    @Override
    public void close() {
      if (closed.compareAndSet(false, true)) {
        try {
          long result = MemoryShim.discard(span.address(), span.length());
          if (result < 0) {
            throw new IllegalStateException(
                "memory at 0x"
                    + Long.toHexString(span.address())
                    + " was not given back: "
                    + Errno.describe((int) -result));
          }
        } finally {
          Reference.reachabilityFence(span);
        }
      }
    }
  }
}
