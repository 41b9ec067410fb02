package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.TransportException;
import org.jspecify.annotations.Nullable;

/** What an event of a device means (ibv_get_async_event(3)). */
final class VerbsEvent {

  private static final int COMPLETION_QUEUE_ERROR = 0;
  private static final int QUEUE_PAIR_FATAL = 1;
  private static final int QUEUE_PAIR_REQUEST_ERROR = 2;
  private static final int QUEUE_PAIR_ACCESS_ERROR = 3;
  private static final int DEVICE_FATAL = 8;
  private static final int PORT_ERROR = 10;

  private VerbsEvent() {}

  /** Why the device works no more, or null if it does. */
  static @Nullable P2pException deviceFailure(int type) {
    return switch (type) {
      case DEVICE_FATAL -> failure("the device failed or was removed", "IBV_EVENT_DEVICE_FATAL");
      case COMPLETION_QUEUE_ERROR ->
          failure("the device lost its completion queue", "IBV_EVENT_CQ_ERR");
      default -> null;
    };
  }

  /** Why no connection over the port works any more, or null if they do. */
  static @Nullable P2pException portFailure(int type) {
    return type == PORT_ERROR ? portDown(detail("IBV_EVENT_PORT_ERR")) : null;
  }

  /**
   * The same, seen before the event.
   *
   * @param detail how it was seen
   */
  static PeerLostException portDown(FailureDetail detail) {
    return new PeerLostException(
        "the port of this process's device went down",
        detail.withRemedy("See what rdma link shows; when it is up again, connect anew"));
  }

  /** Why a connection works no more, or null if it does. */
  static @Nullable P2pException connectionFailure(int type) {
    return switch (type) {
      case QUEUE_PAIR_FATAL ->
          new TransportException(
              "the device lost the connection's queue pair",
              detail("IBV_EVENT_QP_FATAL")
                  .withRemedy("See the kernel's messages (dmesg); then connect anew"));
      case QUEUE_PAIR_REQUEST_ERROR, QUEUE_PAIR_ACCESS_ERROR ->
          new PeerLostException(
              "an operation of the peer was refused here, which broke the connection",
              detail(
                      type == QUEUE_PAIR_ACCESS_ERROR
                          ? "IBV_EVENT_QP_ACCESS_ERR"
                          : "IBV_EVENT_QP_REQ_ERR")
                  .withRemedy("Connect anew"));
      default -> null;
    };
  }

  private static TransportException failure(String summary, String event) {
    return new TransportException(
        summary,
        detail(event)
            .withRemedy("See the kernel's messages (dmesg); close the engine and open a new one"));
  }

  private static FailureDetail detail(String event) {
    return FailureDetail.NONE.withTransport("rdma").withProvider(0, event);
  }
}
