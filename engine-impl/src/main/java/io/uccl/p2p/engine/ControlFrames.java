package io.uccl.p2p.engine;

import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.Notification;
import io.uccl.p2p.PeerState;
import java.io.IOException;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * Understands the control channel's frames and hands them to the owner of the transport, in their
 * order. Decoding happens on the control thread, so that a large frame keeps no data waiting.
 */
final class ControlFrames implements ControlChannel.Listener {

  private final int magic;
  private final Map<Integer, String> transports;
  private final CompletableFuture<DefaultP2pEngine> engine = new CompletableFuture<>();

  /**
   * Makes one that waits for its engine.
   *
   * @param magic of the transport in use
   * @param transports all known magics, to say what a wrong one means
   */
  ControlFrames(int magic, Map<Integer, String> transports) {
    this.magic = magic;
    this.transports = transports;
  }

  /** The engine is complete: what has come in the meantime can go on. */
  void attach(DefaultP2pEngine complete) {
    engine.complete(complete);
  }

  /** There will be no engine: whoever waits for it gives up. */
  void abandon() {
    engine.completeExceptionally(new CancellationException("the engine was not opened"));
  }

  @Override
  public void onConnected(ControlLink link) {
    if (link.attachment() instanceof NotificationLink dialled) {
      dialled.connected();
      return;
    }
    ConnectionSetup setup = setup(link);
    run(engine.join(), setup, setup::linkConnected);
  }

  @Override
  public void onAccepted(ControlLink link) {
    DefaultP2pEngine whole = engine.join();
    ConnectionSetup setup = new ConnectionSetup(whole, link);
    link.attach(setup);
    run(whole, setup, () -> whole.incoming(setup));
  }

  @Override
  public void onFrame(ControlLink link, ByteBuffer payload) {
    DefaultP2pEngine whole = engine.join();
    if (link.attachment() instanceof NotificationLink dialled) {
      run(whole, dialled.setup(), dialled.setup()::notificationLinkMisused);
      return;
    }
    ConnectionSetup setup = setup(link);
    if (setup.isDistrusted()) {
      return;
    }
    switch (ControlCodec.kind(payload, magic)) {
      case NOTIFICATION -> {
        if (setup.pieces().isUnderWay()) {
          protocolError(whole, setup, "it sent a notification between the pieces of another");
        } else {
          arrived(whole, setup, link, ControlCodec.decodeNotification(payload));
        }
      }
      case READY -> run(whole, setup, setup::peerReady);
      case HEARTBEAT -> {
        // That something came was noted when its bytes were read.
        if (!setup.peerHas(HandshakeTrailer.FEATURE_HEARTBEATS)) {
          protocolError(whole, setup, "it sent a heartbeat and announced none");
        }
      }
      case PIECE -> piece(whole, setup, link, payload);
      case ACK -> {
        NotificationSender sender = setup.sender();
        long count = ControlCodec.ackCount(payload);
        if (sender == null
            || !setup.peerHas(HandshakeTrailer.FEATURE_PIECES)
            || !sender.acknowledged(count)) {
          protocolError(
              whole,
              setup,
              "it acknowledged "
                  + Long.toUnsignedString(count)
                  + " notifications, which is not what was sent");
        }
      }
      case REVOKE -> revoke(whole, setup, payload);
      case DRAINED -> drained(whole, setup, payload);
      case REFUSED -> {
        String reason = ControlCodec.decodeRefused(payload);
        run(whole, setup, () -> setup.refused(reason));
      }
      case HANDSHAKE, UNKNOWN -> handshake(whole, setup, link, payload);
    }
  }

  private static void piece(
      DefaultP2pEngine whole, ConnectionSetup setup, ControlLink link, ByteBuffer payload) {
    if (!setup.peerHas(HandshakeTrailer.FEATURE_PIECES)) {
      protocolError(whole, setup, "it sent a piece of a notification and announced none");
      return;
    }
    try {
      Notification notification = setup.pieces().add(payload);
      if (notification == null) {
        whole.inboxBudget().pieceArrived(link, ControlCodec.pieceLength(payload));
      } else {
        arrived(whole, setup, link, notification);
      }
    } catch (ProtocolException e) {
      protocolError(whole, setup, DefaultP2pEngine.text(e));
    }
  }

  private static void revoke(DefaultP2pEngine whole, ConnectionSetup setup, ByteBuffer payload) {
    if (!setup.peerHas(HandshakeTrailer.FEATURE_REVOKES)) {
      protocolError(whole, setup, "it revoked a region and announced no such thing");
    } else if (!setup.mayAsk()) {
      protocolError(
          whole,
          setup,
          "it revoked more than "
              + ConnectionSetup.MOST_ANSWERS
              + " regions and does not read the answers");
    } else {
      int rid = ControlCodec.regionRid(payload);
      long idx = ControlCodec.regionIdx(payload);
      run(whole, setup, () -> setup.revoked(rid, idx));
    }
  }

  private static void drained(DefaultP2pEngine whole, ConnectionSetup setup, ByteBuffer payload) {
    if (!setup.peerHas(HandshakeTrailer.FEATURE_REVOKES)) {
      protocolError(whole, setup, "it drained a region and announced no such thing");
      return;
    }
    int rid = ControlCodec.regionRid(payload);
    long idx = ControlCodec.regionIdx(payload);
    run(whole, setup, () -> setup.drained(rid, idx));
  }

  private static void arrived(
      DefaultP2pEngine whole, ConnectionSetup setup, ControlLink link, Notification notification) {
    whole.inboxBudget().arrived(link, notification);
    run(whole, setup, () -> setup.arrived(notification));
  }

  /** Nothing more of the link is looked at: what follows an error means nothing. */
  private static void protocolError(DefaultP2pEngine whole, ConnectionSetup setup, String what) {
    setup.distrust();
    run(whole, setup, () -> setup.protocolError(what));
  }

  @Override
  public void onPeerState(ControlLink link, PeerState state) {
    ConnectionSetup setup = setup(link);
    run(engine.join(), setup, () -> setup.peerState(state));
  }

  @Override
  public void onClosed(ControlLink link, @Nullable IOException cause) {
    if (link.attachment() instanceof NotificationLink dialled) {
      run(engine.join(), dialled.setup(), dialled.closed(cause));
      return;
    }
    ConnectionSetup setup = setup(link);
    DefaultP2pEngine whole = engine.join();
    setup.pieces().clear();
    whole.inboxBudget().closed(link);
    run(whole, setup, () -> setup.linkClosed(cause));
  }

  private static void run(DefaultP2pEngine whole, ConnectionSetup setup, Runnable action) {
    whole.loop().run(() -> setup.attempt(action));
  }

  private void handshake(
      DefaultP2pEngine whole, ConnectionSetup setup, ControlLink link, ByteBuffer payload) {
    try {
      Handshake handshake = Handshake.decode(payload, magic, transports);
      link.shookHands();
      setup.announced(handshake);
      run(whole, setup, () -> setup.handshake(handshake));
    } catch (HandshakeException e) {
      boolean understands = HandshakeTrailer.atEndOf(payload) != null;
      run(whole, setup, () -> setup.refuse(e, understands));
    }
  }

  private static ConnectionSetup setup(ControlLink link) {
    if (link.attachment() instanceof ConnectionSetup setup) {
      return setup;
    }
    throw new IllegalStateException("a link without its setup: " + link);
  }
}
