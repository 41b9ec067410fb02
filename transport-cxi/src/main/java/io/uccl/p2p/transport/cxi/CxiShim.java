package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.spi.nativelib.NativeLibrary;

/**
 * The native methods of {@code libp2p_cxi.so}. Results are 0 and more, or {@code -errno};
 * structures are passed by the address of off-heap memory. See {@code p2p_cxi.h} for each of them.
 * Only to be called when {@link #LIBRARY} is available.
 */
final class CxiShim implements NativeLibrary.Binding {

  static final NativeLibrary LIBRARY =
      new NativeLibrary("p2p_cxi", NativeLibrary.ABI_VERSION, new CxiShim());

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

  static native long domains(long opening, long found, long names, long count, long report);

  static native long open(long opening, long found, long report);

  static native long close(long endpoint, long report);

  static native long register(
      long endpoint,
      long index,
      long address,
      long length,
      int access,
      long key,
      int kind,
      int device,
      int dmabuf,
      long chosen,
      long report);

  static native long closeMemory(long endpoint, long index, boolean inUseToo, long report);

  static native long outstanding(long endpoint, long completions, long count);

  static native long addPeer(long endpoint, long address, long length, long report);

  static native long removePeer(long endpoint, long peer, long report);

  static native long post(
      long endpoint, long peer, int channel, long slots, long count, long report);

  static native long poll(long endpoint, long completions, long count, long report);

  static native long await(long endpoint, int wakeup, long nanos);
}
