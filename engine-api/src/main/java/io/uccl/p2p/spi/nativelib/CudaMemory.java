package io.uccl.p2p.spi.nativelib;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.RegistrationException;

/**
 * What a transport has to know of an NVIDIA GPU's memory. CUDA's driver is asked where this process
 * has loaded it; it is never loaded from here.
 *
 * <p><b>Threads.</b> Any, for every method here. Only to be called when {@link
 * NativeMemory#availability()} says that the shim is there.
 */
public final class CudaMemory {

  private CudaMemory() {}

  /**
   * Whether this process may come to have memory of a GPU: the driver is loaded here, or is in the
   * kernel.
   */
  public static boolean isPossible() {
    return MemoryShim.cudaIsPossible() > 0;
  }

  /**
   * A dma-buf, by which another driver of the kernel reaches a GPU's memory. It begins with the
   * page of the host's size that holds the address.
   *
   * @return a file descriptor, to be closed with {@link #closeDmabuf}, or {@code -errno}: {@link
   *     Errno#ENOSYS} if CUDA's driver is too old, {@link Errno#EIO} if it refuses
   */
  public static int openDmabuf(long address, long length) {
    return (int) MemoryShim.cudaDmabuf(address, length);
  }

  /** Closes a dma-buf; what was registered with it stays. */
  public static void closeDmabuf(int descriptor) {
    MemoryShim.closeCudaDmabuf(descriptor);
  }

  /** The GPU that owns a range, or -1 if the host does. */
  static int device(long address, long length) {
    long owner = MemoryShim.cudaOwner(address, length);
    if (owner >= 0) {
      return (int) owner - 1;
    }
    int errno = (int) -owner;
    String range = length + " bytes at 0x" + Long.toHexString(address);
    throw switch (errno) {
      case Errno.EOPNOTSUPP ->
          refused(
              range + " are managed memory of CUDA, which moves between host and GPU",
              "Take memory of cuMemAlloc, or of the host",
              errno);
      case Errno.EINVAL ->
          refused(
              range + " are not memory of one GPU from the first byte to the last",
              "Give the address and length of one allocation",
              errno);
      default ->
          refused(
              "CUDA's driver does not say whose " + range + " are",
              "See whether the GPU works: nvidia-smi",
              errno);
    };
  }

  private static RegistrationException refused(String summary, String remedy, int errno) {
    return new RegistrationException(
        summary, FailureDetail.remedy(remedy).withProvider(errno, Errno.describe(errno)));
  }
}
