package io.uccl.p2p;

import java.nio.ByteBuffer;

/**
 * Registered memory: the only memory that operations read, write and advertise.
 *
 * <p><b>Threads.</b> Every method may be called from any thread. The bytes are shared with the
 * network; what is in flight must not be changed.
 *
 * <p><b>Unit of protection.</b> A peer that holds a descriptor of a range can, on networks where
 * the NIC checks keys, reach the whole region. Register what may be reached, not more.
 */
public interface MemoryRegion extends AutoCloseable {

  /**
   * The address of the first byte as descriptors carry it. Virtual memory of this process, or a
   * synthetic number if the native memory library is missing; see {@link #hasNativeAddress()}.
   */
  long address();

  /** True if {@link #address()} is an address in this process's memory. */
  boolean hasNativeAddress();

  /** Bytes. */
  long length();

  /** What peers may do with it. */
  RegionAccess access();

  /** Where its bytes are. */
  MemoryKind kind();

  /**
   * A view of part of the region, to fill and to read.
   *
   * <p>After {@link #close()} a view stays safe to use: views of allocated memory read zeros.
   *
   * @return a direct buffer of exactly {@code length} bytes, big-endian
   * @throws IndexOutOfBoundsException if the range does not fit
   * @throws ResourceClosedException if the region is closed
   * @throws UnsupportedOperationException if the region is not in the memory of the {@link
   *     MemoryKind#HOST}
   */
  ByteBuffer slice(long offset, int length);

  /**
   * Makes the descriptor by which a peer reads and writes a range of this region.
   *
   * @throws IndexOutOfBoundsException if the range does not fit
   * @throws IllegalStateException if the region's access is {@link RegionAccess#LOCAL}
   * @throws ResourceClosedException if the region is closed
   */
  FifoDescriptor advertise(long offset, long length);

  /** Makes the descriptor of the whole region. */
  default FifoDescriptor advertise() {
    return advertise(0, length());
  }

  /**
   * Ends the registration: descriptors of this region are refused from now on, and no byte of a
   * peer arrives in it any more. Memory that the engine allocated is given back, as soon as the
   * network has let go of it. Returns within a second; a second caller waits for the first.
   * Idempotent.
   *
   * @throws RegionInUseException if operations of this engine still use the region, which it names;
   *     the region stays open. Transfers that have ended use it while their {@link
   *     Transfer#buffer()} is {@link BufferState#IN_USE}, unless the engine allocated the memory:
   *     then the close succeeds, and the memory is given back when the last of them is free
   * @throws TransportException if the network keeps the registration: nothing can be done with the
   *     region any more, but peers may still reach the memory. Close it again, or the engine
   */
  @Override
  void close();
}
