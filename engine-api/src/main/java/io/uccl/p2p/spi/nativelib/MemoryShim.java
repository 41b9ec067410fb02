package io.uccl.p2p.spi.nativelib;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * The native methods of {@code libp2p_memory.so}. Results are 0 and more, or {@code -errno}; see
 * {@code p2p_memory.h} and {@code p2p_cuda.h}. Only to be called when {@link #LIBRARY} is
 * available.
 */
final class MemoryShim implements NativeLibrary.Binding {

  static final NativeLibrary LIBRARY =
      new NativeLibrary("p2p_memory", NativeLibrary.ABI_VERSION, new MemoryShim());

  @Override
  @SuppressWarnings("UnsafeDynamicallyLoadedCode") // NativeLibrary chose and checked the path.
  public void load(String file) {
    System.load(file);
  }

  @Override
  public int abiVersion() {
    return abiVersion0();
  }

  private static native int abiVersion0();

  /** Bytes of a page. */
  static native long pageSize();

  /** Address of new zeroed memory. */
  static native long map(long length);

  /** Gives a range's pages back; it stays mapped and reads zeros. */
  static native long discard(long address, long length);

  /** Unmaps a range. */
  static native long unmap(long address, long length);

  /** 1 if this process may come to have memory of a GPU. */
  static native long cudaIsPossible();

  /** 0: the host's memory; n + 1: that of GPU n. */
  static native long cudaOwner(long address, long length);

  /** A descriptor of a dma-buf of a GPU's memory. */
  static native long cudaDmabuf(long address, long length);

  /** Closes it. */
  static native long closeCudaDmabuf(int fd);

  /** A descriptor that ends waits. */
  static native long openWakeUp();

  /** Gives it. */
  static native long giveWakeUp(int wakeUp);

  /** Closes it. */
  static native long closeWakeUp(int wakeUp);

  /** Address of byte 0 of a direct buffer. */
  static native long bufferAddress(ByteBuffer buffer);

  /** A big-endian direct buffer that does not own its memory; null for arguments below 1. */
  static native @Nullable ByteBuffer bufferAt(long address, int size);
}
