package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.MemoryKind;
import io.uccl.p2p.spi.nativelib.Errno;

/** What a person can do about a failure of libibverbs, from the error. */
final class VerbsRemedies {

  /** A port is not active. */
  static final String RAISE_PORT =
      "See what rdma link shows: plug the cable in, bring the interface up, or have the subnet"
          + " manager started";

  private VerbsRemedies() {}

  /** A NIC could not be opened, or there is no library. */
  static String ofOpening(VerbsReport report) {
    return switch (report.error()) {
      case Errno.ENOENT ->
          "Install libibverbs (Debian: apt-get install libibverbs1 ibverbs-providers), or set"
              + " UCCL_IBV_SO to its path";
      case Errno.ENODEV ->
          "Install the library's driver for the device (Debian: apt-get install ibverbs-providers)";
      case Errno.ENOSYS ->
          "It lists no devices where the kernel has no uverbs (modprobe ib_uverbs), or is not"
              + " libibverbs: see UCCL_IBV_SO";
      case Errno.EACCES, Errno.EPERM ->
          "Let this user read and write /dev/infiniband/uverbs*; a container needs these devices";
      case Errno.ENOMEM -> raiseLockedMemory();
      default -> "See what ibv_devinfo says";
    };
  }

  /** Memory could not be registered. */
  static String ofRegistration(VerbsReport report, MemoryKind kind) {
    if (kind != MemoryKind.HOST) {
      return "Use a kernel from 5.12 on and NVIDIA's open driver, which share GPU memory as dma-buf,"
          + " or load nvidia-peermem";
    }
    if (isOfLockedMemory(report)) {
      return isLockedMemoryLimited()
          ? raiseLockedMemory()
          : "See how much memory is free, and the limits in ibv_devinfo -v: max_mr, max_mr_size";
    }
    return report.error() == Errno.EFAULT
        ? "The memory is not mapped, or may not be written"
        : "See the limits in ibv_devinfo -v: max_mr, max_mr_size";
  }

  /** Whether it is what a registration beyond the limit of locked memory fails with. */
  static boolean isOfLockedMemory(VerbsReport report) {
    return report.error() == Errno.ENOMEM || report.error() == Errno.EAGAIN;
  }

  private static String raiseLockedMemory() {
    return "Raise the limit of locked memory: ulimit -l unlimited, for ever with the line"
        + " '* - memlock unlimited' in /etc/security/limits.conf";
  }

  private static boolean isLockedMemoryLimited() {
    return VerbsShim.lockedMemoryLimit() != Long.MAX_VALUE;
  }

  /** What this process may lock, as one clause. */
  static String lockedMemoryLimit() {
    long limit = VerbsShim.lockedMemoryLimit();
    return limit == Long.MAX_VALUE
        ? "this process has no limit of locked memory"
        : "the limit of locked memory of this process is " + limit + " bytes";
  }
}
