package io.uccl.p2p.spi;

import io.uccl.p2p.MemoryKind;
import java.nio.ByteBuffer;
import java.util.Objects;

/**
 * A contiguous range of memory of any length. Off-heap memory is seen through buffers; a GPU's has
 * only an address.
 *
 * <p>A buffer ends at 2 GiB. So a span has windows: window {@code i} starts at {@code i} GiB and is
 * up to 2 GiB - 1 long, overlapping the next. Any piece of up to 1 GiB lies whole within the window
 * of its first byte.
 *
 * <p>Windows are shared. Who needs a position and limit of its own takes a duplicate. A span of
 * {@link MemoryKind#CUDA} has no windows.
 */
public final class MemorySpan {

  /** Windows start every {@code 1 << WINDOW_SHIFT} bytes. */
  public static final int WINDOW_SHIFT = 30;

  /** The longest piece that is always within one window. */
  public static final int MAX_PIECE = 1 << WINDOW_SHIFT;

  private final MemoryKind kind;
  private final int device;
  private final long address;
  private final long length;
  private final WindowMapper mapper;
  private final ByteBuffer[] windows;

  private MemorySpan(long address, long length, int device) {
    this.kind = MemoryKind.CUDA;
    this.device = device;
    this.address = address;
    this.length = length;
    this.mapper = MemorySpan::noBuffer;
    this.windows = new ByteBuffer[0];
  }

  private MemorySpan(long address, long length, WindowMapper mapper) {
    this.kind = MemoryKind.HOST;
    this.device = 0;
    this.address = address;
    this.length = length;
    this.mapper = mapper;
    this.windows = new ByteBuffer[Math.toIntExact(((length - 1) >>> WINDOW_SHIFT) + 1)];
    for (int i = 0; i < windows.length; i++) {
      long offset = (long) i << WINDOW_SHIFT;
      windows[i] = mapper.map(offset, (int) Math.min(Integer.MAX_VALUE, length - offset));
    }
  }

  /**
   * A span over a direct buffer, from 0 to its capacity.
   *
   * @param address its virtual address, or a synthetic one
   * @throws IllegalArgumentException if the buffer is not direct, is read-only or is empty
   */
  public static MemorySpan of(ByteBuffer buffer, long address) {
    if (!buffer.isDirect() || buffer.isReadOnly() || buffer.capacity() == 0) {
      throw new IllegalArgumentException(
          "a region needs a direct, writable buffer of at least one byte, but this one "
              + (!buffer.isDirect()
                  ? "is on the heap; use ByteBuffer.allocateDirect"
                  : buffer.isReadOnly() ? "is read-only" : "is empty"));
    }
    ByteBuffer whole = buffer.duplicate().clear();
    return new MemorySpan(
        address, whole.capacity(), (offset, size) -> whole.slice((int) offset, size));
  }

  /**
   * A span over memory by its address.
   *
   * @param address its virtual address
   * @param length bytes, 1 and more
   * @param mapper makes the direct buffer of {@code (offset, size)}
   */
  public static MemorySpan of(long address, long length, WindowMapper mapper) {
    if (length < 1) {
      throw new IllegalArgumentException("a region has at least one byte, but length is " + length);
    }
    return new MemorySpan(address, length, mapper);
  }

  /**
   * A span over memory of an NVIDIA GPU.
   *
   * @param address its address in CUDA's unified addressing
   * @param length bytes, 1 and more
   * @param device the GPU's number, as CUDA counts them in this process
   */
  public static MemorySpan ofCuda(long address, long length, int device) {
    if (length < 1) {
      throw new IllegalArgumentException("a region has at least one byte, but length is " + length);
    }
    return new MemorySpan(address, length, device);
  }

  private static ByteBuffer noBuffer(long offset, int size) {
    throw new UnsupportedOperationException(
        "memory of a GPU cannot be read or written from Java; copy it with CUDA");
  }

  /** Makes the buffers of a span. */
  @FunctionalInterface
  public interface WindowMapper {
    /**
     * A direct buffer of {@code size} bytes that starts {@code offset} bytes into the memory. Any
     * thread may ask, at any time.
     */
    ByteBuffer map(long offset, int size);
  }

  /** Where its bytes are. */
  public MemoryKind kind() {
    return kind;
  }

  /** The GPU's number, as CUDA counts them; 0 for the host's memory. */
  public int device() {
    return device;
  }

  /** Virtual address of the first byte, or a synthetic number, see {@code MemoryRegion}. */
  public long address() {
    return address;
  }

  /** Bytes. */
  public long length() {
    return length;
  }

  /** How many windows there are. */
  public int windowCount() {
    return windows.length;
  }

  /** The shared buffer of a window. Its position, limit and order must not be changed. */
  public ByteBuffer window(int index) {
    return windows[index];
  }

  /**
   * Index of the window that holds the piece that starts at an offset. The piece has a byte: an
   * empty one at the end of the memory may be in no window.
   */
  public static int windowOf(long offset) {
    return (int) (offset >>> WINDOW_SHIFT);
  }

  /** Where an offset lies in its window. */
  public static int withinWindow(long offset) {
    return (int) (offset & (MAX_PIECE - 1));
  }

  /**
   * A new buffer over a piece of any length that a buffer can have.
   *
   * @throws IndexOutOfBoundsException if the piece does not fit
   * @throws UnsupportedOperationException if this is memory of a GPU
   */
  public ByteBuffer slice(long offset, int size) {
    Objects.checkFromIndexSize(offset, size, length);
    if (kind == MemoryKind.CUDA) {
      return noBuffer(offset, size);
    }
    if (offset == length) {
      return windows[0].slice(0, 0);
    }
    ByteBuffer window = windows[windowOf(offset)];
    int start = withinWindow(offset);
    return size <= window.capacity() - start ? window.slice(start, size) : mapper.map(offset, size);
  }
}
