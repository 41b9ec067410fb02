package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.nativelib.Errno;
import io.uccl.p2p.spi.nativelib.OffHeap;

/**
 * Why a call of the shim failed.
 *
 * <pre>
 * offset size
 *      0    4  errno, positive
 *      4    4  0
 *      8   56  the call that failed
 *     64  192  text of the loader, or what is wrong
 * </pre>
 */
final class VerbsReport {

  private final OffHeap bytes = new OffHeap(256);

  long address() {
    return bytes.address();
  }

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
    return FailureDetail.remedy(remedy)
        .withTransport("rdma")
        .withProvider(error(), text() + " (errno " + Errno.describe(error()) + ")");
  }

  /** A failure that is about nobody but this process. */
  TransportException failure(String summary, String remedy) {
    return new TransportException(summary, detail(remedy));
  }
}
