package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.MemoryKind;
import io.uccl.p2p.spi.nativelib.Errno;

/** What a person can do about a failure of libfabric, from the error and the settings. */
final class CxiRemedies {

  private CxiRemedies() {}

  /** An endpoint could not be opened, or the provider has no domain. */
  static String ofOpening(CxiOpening opening, CxiReport report) {
    return switch (report.error()) {
      case Errno.ENOENT ->
          "Install libfabric, 2.0 or later if you can (Debian 12 has 1.17: apt-get install"
              + " libfabric1), or set UCCL_LIBFABRIC_SO to its path";
      case Errno.ENODATA -> ofNoData(opening);
      case Errno.EACCES, Errno.EPERM ->
          "The service or VNI is not open to this user: start the job through its workload manager,"
              + " or set SLINGSHOT_VNIS, SLINGSHOT_DEVICES and SLINGSHOT_SVC_IDS";
      case Errno.ENOMEM, Errno.ENOSPC ->
          "Raise the limit of locked memory (ulimit -l), or make the queues smaller"
              + " (UCCL_CXI_TX_QUEUE_SIZE, UCCL_CXI_RX_QUEUE_SIZE, UCCL_CXI_CQ_SIZE)";
      default -> "See the provider's text; FI_LOG_LEVEL=warn makes libfabric say more";
    };
  }

  private static String ofNoData(CxiOpening opening) {
    String threading = opening.threading();
    if (threading.equals("endpoint") || threading.equals("fid")) {
      return "libfabric 2 refuses the threading models endpoint and fid: set"
          + " UCCL_CXI_THREADING=safe";
    }
    String domain = opening.domain();
    return "See what fi_info -p '"
        + opening.provider()
        + "' lists"
        + (domain.isEmpty() ? "" : ", and set UCCL_CXI_DOMAIN or UCCL_CXI_DEVICE_INDEX to match");
  }

  /** Memory could not be registered. */
  static String ofRegistration(CxiReport report, MemoryKind kind) {
    return switch (report.error()) {
      case Errno.EOPNOTSUPP, Errno.ENOSYS ->
          kind == MemoryKind.HOST
              ? "See the provider's text"
              : "Use a libfabric that was built with CUDA, and load CUDA's driver (libcuda.so.1)"
                  + " before the engine is opened; p2p doctor says whether cxi takes GPU memory";
      case Errno.ENOMEM, Errno.EAGAIN -> "Raise the limit of locked memory (ulimit -l)";
      case Errno.ENOSPC ->
          "A domain has 65,536 registrations: close regions, or register fewer and larger ones";
      case Errno.EFAULT -> "The memory is not mapped, or may not be written";
      default -> "See the provider's text";
    };
  }
}
