package io.uccl.p2p.engine;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/**
 * The link that this side dialled to a C++ peer that connected, to send it notifications: on a link
 * that it dialled itself the peer would take them for answers. Nothing else is ever sent on it, and
 * nothing comes. The control thread's.
 */
final class NotificationLink {

  private final ConnectionSetup setup;
  private boolean connected;

  NotificationLink(ConnectionSetup setup) {
    this.setup = setup;
  }

  ConnectionSetup setup() {
    return setup;
  }

  void connected() {
    connected = true;
  }

  /** For the owner of the transport: what it means that the link is closed. */
  Runnable closed(@Nullable IOException cause) {
    boolean wasConnected = connected;
    return () -> {
      if (wasConnected) {
        setup.notificationLinkEnded(cause);
      } else {
        setup.notificationLinkFailed(cause);
      }
    };
  }
}
