package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.spi.nativelib.NativeLibrary;

/**
 * The native methods of {@code libp2p_verbs.so}. Results are 0 and more, or {@code -errno};
 * structures and texts are passed by the address of off-heap memory. See {@code p2p_verbs.h} for
 * each of them. Only to be called when {@link #LIBRARY} is available.
 */
final class VerbsShim implements NativeLibrary.Binding {

  static final NativeLibrary LIBRARY =
      new NativeLibrary("p2p_verbs", NativeLibrary.ABI_VERSION, new VerbsShim());

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

  static native long devices(long library, long names, long count, long report);

  static native long open(long opening, long found, long report);

  static native long refresh(long nic, long found, long report);

  static native long close(long nic, long report);

  static native long register(
      long nic,
      long index,
      long address,
      long length,
      int shift,
      int access,
      int dmabuf,
      long keys,
      long report);

  static native long closeMemory(long nic, long index, long report);

  static native long lockedMemoryLimit();

  static native long create(long making, long report);

  static native long reduce(long connection, int count, long report);

  static native long connect(long connection, long paths, int count, long report);

  static native long breakConnection(long connection, long report);

  static native long detach(long connection, boolean outstandingToo, long report);

  static native long destroy(long connection, long report);

  static native long post(long connection, long slots, long count, long report);

  static native long poll(long nic, long completions, long count, long report);

  static native long outstanding(long connection, long completions, long count);

  static native long events(long nic, long events, long count, long report);

  static native long await(long nics, long count, int wakeup, long nanos);
}
