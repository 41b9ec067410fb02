package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.nativelib.Errno;
import io.uccl.p2p.spi.nativelib.OffHeap;

/**
 * Why a call of the shim failed, and what that means.
 *
 * <pre>
 * offset size
 *      0    4  errno, positive; libfabric's own begin at 256 (fi_errno(3))
 *      4    4  the provider's own errno, 0 if there is none
 *      8   56  the call that failed
 *     64  192  text of the provider or of the loader
 * </pre>
 */
final class CxiReport {

  /** Of libfabric, not of the kernel. */
  private static final int FI_EOPBADSTATE = 258;

  static final int FI_ENOKEY = 266;

  private final OffHeap bytes = new OffHeap(256);

  long address() {
    return bytes.address();
  }

  /** The errno; libfabric's. */
  int error() {
    return bytes.getInt(0);
  }

  /** What failed and why, as one clause. */
  String text() {
    String text = bytes.getText(64, 192);
    return bytes.getText(8, 56) + (text.isEmpty() ? " failed" : ": " + text);
  }

  /** For the detail of an exception. */
  FailureDetail detail(String remedy) {
    int provider = bytes.getInt(4);
    return FailureDetail.remedy(remedy)
        .withTransport("cxi")
        .withProvider(
            provider != 0 ? provider : error(),
            text() + " (" + (provider != 0 ? "error " : "errno ") + describe(error()) + ")");
  }

  /** A failure that is about nobody but this process. */
  TransportException failure(String summary, String remedy) {
    return new TransportException(summary, detail(remedy));
  }

  /** What an error entry of the completion queue means for the operation. */
  P2pException ofOperation() {
    if (isUnreachable()) {
      return new PeerLostException(
          "the network does not reach the peer any more",
          detail("See whether its process lives, and that both are in one VNI; then connect anew"));
    }
    if (error() == Errno.ECANCELED) {
      return new PeerLostException(
          "the network's own connection broke: the peer refused an operation, or is gone",
          detail("Connect anew, with new descriptors"));
    }
    if (isRefusal()) {
      return new RemoteAccessException(
          "the peer's network interface refused the operation",
          detail(
              "The region may be closed there, or not open to this kind of operation; ask the peer"
                  + " for a new descriptor"));
    }
    return failure("the operation failed in the network", "See the provider's text");
  }

  /** What it means for the operation that it could not be posted. */
  P2pException ofPost() {
    // No peer has seen it, so none has refused it.
    return error() == Errno.EIO
        ? failure("the network does not take the operation", "See the provider's text")
        : ofOperation();
  }

  /** True if a call failed because its endpoint works no more, as when the device is gone. */
  boolean isOfEndpoint() {
    return error() == Errno.ENODEV || error() == FI_EOPBADSTATE;
  }

  /** True if the error is about the way to the peer, not about one operation alone. */
  boolean breaksConnection() {
    return isUnreachable() || error() == Errno.ECANCELED;
  }

  private boolean isUnreachable() {
    return switch (error()) {
      case Errno.ECONNABORTED,
          Errno.ECONNRESET,
          Errno.ENOTCONN,
          Errno.ESHUTDOWN,
          Errno.ETIMEDOUT,
          Errno.ECONNREFUSED,
          Errno.EHOSTDOWN,
          Errno.EHOSTUNREACH,
          Errno.ENETUNREACH ->
          true;
      default -> false;
    };
  }

  /** Key, range or access; cxi tells all of them as EIO. */
  private boolean isRefusal() {
    return switch (error()) {
      case Errno.EPERM, Errno.EACCES, Errno.EIO, Errno.ERANGE, Errno.EKEYREJECTED, FI_ENOKEY ->
          true;
      default -> false;
    };
  }

  private static String describe(int error) {
    return error < 256 ? Errno.describe(error) : Integer.toString(error);
  }
}
