package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.nativelib.Errno;

/** What the status of a completion means (ibv_poll_cq(3)). Any error breaks the connection. */
final class VerbsStatus {

  static final int SUCCESS = 0;

  private static final int LOCAL_LENGTH = 1;
  private static final int LOCAL_OPERATION = 2;
  private static final int LOCAL_PROTECTION = 4;

  /** Broken by something else than an operation of this side. */
  static final int FLUSHED = 5;

  private static final int BAD_RESPONSE = 7;
  private static final int LOCAL_ACCESS = 8;
  private static final int REMOTE_INVALID_REQUEST = 9;
  private static final int REMOTE_ACCESS = 10;
  private static final int REMOTE_OPERATION = 11;
  private static final int RETRIES_EXCEEDED = 12;
  private static final int RECEIVER_RETRIES_EXCEEDED = 13;
  private static final int REMOTE_ABORT = 16;
  private static final int FATAL = 19;
  private static final int RESPONSE_TIMEOUT = 20;
  private static final int GENERAL = 21;

  /** Of the shim: a work request was not taken; its errno is in the vendor's place. */
  private static final int NOT_POSTED = 1000;

  private VerbsStatus() {}

  /**
   * Why a connection broke whose first error this is.
   *
   * @param vendor the device's own number for it
   */
  static P2pException failure(int status, int vendor) {
    return switch (status) {
      case REMOTE_ACCESS ->
          new RemoteAccessException(
              "the peer's network interface refused the operation",
              detail(
                  status,
                  vendor,
                  "The region may be closed there, or not open to this kind of operation; connect"
                      + " anew, and ask the peer for a new descriptor"));
      case REMOTE_INVALID_REQUEST ->
          new RemoteAccessException(
              "the peer's network interface found the operation invalid",
              detail(status, vendor, "Connect anew, and ask the peer for a new descriptor"));
      case RETRIES_EXCEEDED, RESPONSE_TIMEOUT ->
          new PeerLostException(
              "the peer's network interface does not answer",
              detail(
                  status,
                  vendor,
                  "See whether its process lives and the network between the two works; then"
                      + " connect anew"));
      case RECEIVER_RETRIES_EXCEEDED ->
          new PeerLostException(
              "the peer's queue pair was never ready to receive",
              detail(status, vendor, "Use the same release on both sides; then connect anew"));
      case NOT_POSTED ->
          new TransportException(
              "the device does not take the operation",
              FailureDetail.remedy("See the device's limits in ibv_devinfo -v; then connect anew")
                  .withTransport("rdma")
                  .withProvider(vendor, "ibv_post_send (errno " + Errno.describe(vendor) + ")"));
      // The status says only that something else came first.
      case FLUSHED ->
          new PeerLostException(
              "the connection's queue pair went to error, and none of its operations was the cause",
              FailureDetail.remedy(
                      "An operation of the peer may have been refused here: see what its process"
                          + " says; then connect anew")
                  .withTransport("rdma"));
      case REMOTE_OPERATION, REMOTE_ABORT ->
          new PeerLostException(
              "the peer's network interface could not carry the operation out",
              detail(status, vendor, "See the kernel's messages there; then connect anew"));
      case LOCAL_PROTECTION, LOCAL_ACCESS ->
          new TransportException(
              "the own network interface could not reach the operation's local memory",
              detail(status, vendor, "See that the memory stays mapped; then connect anew"));
      default ->
          new TransportException(
              "the operation failed in the own network interface",
              detail(status, vendor, "See the kernel's messages (dmesg); then connect anew"));
    };
  }

  /** Whether an own port that is down explains it: nothing left, or nothing came back. */
  static boolean mayComeOfPort(int status) {
    return status == LOCAL_OPERATION || status == RETRIES_EXCEEDED || status == RESPONSE_TIMEOUT;
  }

  private static FailureDetail detail(int status, int vendor, String remedy) {
    return detail(status, vendor).withRemedy(remedy);
  }

  /** The device's words. */
  static FailureDetail detail(int status, int vendor) {
    return FailureDetail.NONE
        .withTransport("rdma")
        .withProvider(
            status,
            name(status) + (vendor == 0 ? "" : ", vendor error 0x" + Integer.toHexString(vendor)));
  }

  /** As verbs name it. */
  private static String name(int status) {
    return switch (status) {
      case LOCAL_LENGTH -> "IBV_WC_LOC_LEN_ERR";
      case LOCAL_OPERATION -> "IBV_WC_LOC_QP_OP_ERR";
      case LOCAL_PROTECTION -> "IBV_WC_LOC_PROT_ERR";
      case BAD_RESPONSE -> "IBV_WC_BAD_RESP_ERR";
      case LOCAL_ACCESS -> "IBV_WC_LOC_ACCESS_ERR";
      case REMOTE_INVALID_REQUEST -> "IBV_WC_REM_INV_REQ_ERR";
      case REMOTE_ACCESS -> "IBV_WC_REM_ACCESS_ERR";
      case REMOTE_OPERATION -> "IBV_WC_REM_OP_ERR";
      case RETRIES_EXCEEDED -> "IBV_WC_RETRY_EXC_ERR";
      case RECEIVER_RETRIES_EXCEEDED -> "IBV_WC_RNR_RETRY_EXC_ERR";
      case REMOTE_ABORT -> "IBV_WC_REM_ABORT_ERR";
      case FATAL -> "IBV_WC_FATAL_ERR";
      case RESPONSE_TIMEOUT -> "IBV_WC_RESP_TIMEOUT_ERR";
      case GENERAL -> "IBV_WC_GENERAL_ERR";
      default -> "status of ibv_poll_cq";
    };
  }
}
