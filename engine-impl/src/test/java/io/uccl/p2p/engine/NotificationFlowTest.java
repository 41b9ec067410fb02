package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.ResourceClosedException;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Notifications in pieces and their acknowledgement, with plain sockets as the peer. */
@Timeout(120)
class NotificationFlowTest {

  private static final Duration WAIT = Duration.ofSeconds(30);
  private static final byte[] LONG =
      ControlCodec.encode(Notification.of(1, new byte[0], new byte[1_000_000]));

  @RegisterExtension final Opened opened = new Opened();
  private final BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
  private final DefaultP2pEngine engine =
      opened.closing(
          DefaultP2pEngine.open(
              EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp")));
  private Socket control;

  private Connection peer(int features) throws IOException, InterruptedException {
    FakePeer.Joined joined = opened.closing(new FakePeer()).join(engine, features);
    control = joined.control();
    joined.connection().onClosed(ends::add);
    return joined.connection();
  }

  private static Notification note(int type, int bytes) {
    return Notification.of(type, new byte[0], new byte[bytes]);
  }

  @Test
  void flushReturnsWhenThePeerHasAcknowledgedAll() throws Exception {
    Connection connection = peer(HandshakeTrailer.FEATURE_PIECES);
    assertThat(connection.flushNotifications(Duration.ZERO)).as("nothing was sent").isTrue();
    connection.sendNotification(note(1, 10));
    connection.sendNotification(note(2, 10));
    FakePeer.readFrame(control);
    FakePeer.readFrame(control);
    assertThat(connection.flushNotifications(Duration.ofMillis(50))).isFalse();
    FakePeer.writeFrame(control, ControlCodec.encodeAck(1));
    assertThat(connection.flushNotifications(Duration.ofMillis(50))).isFalse();
    FakePeer.writeFrame(control, ControlCodec.encodeAck(2));
    assertThat(connection.flushNotifications(WAIT)).isTrue();
    connection.close();
    assertThat(connection.flushNotifications(WAIT)).as("all was confirmed before").isTrue();
  }

  @Test
  void flushThrowsTheFailureOfAConnectionThatEndsBefore() throws Exception {
    Connection connection = peer(HandshakeTrailer.FEATURE_PIECES);
    connection.sendNotification(note(1, 10));
    connection.close();
    assertThatThrownBy(() -> connection.flushNotifications(WAIT))
        .isInstanceOf(ResourceClosedException.class)
        .hasMessageContaining("flush of notifications");
  }

  @Test
  void whatHasComeOfANotificationIsForgottenWithItsLink() throws Exception {
    DefaultConnection connection = (DefaultConnection) peer(HandshakeTrailer.FEATURE_PIECES);
    NotificationPieces pieces = connection.setup().pieces();
    FakePeer.writeFrame(control, ControlCodec.encodePiece(LONG, 0, 1000));
    until("a piece has come", pieces::isUnderWay);
    control.close();
    assertThat(ends.poll(30, TimeUnit.SECONDS)).isNotNull();
    until("it is forgotten", () -> !pieces.isUnderWay());
  }

  @Test
  void flushIsInterruptible() throws Exception {
    Connection connection = peer(HandshakeTrailer.FEATURE_PIECES);
    connection.sendNotification(note(1, 10));
    Thread.currentThread().interrupt();
    assertThatThrownBy(() -> connection.flushNotifications(WAIT))
        .isInstanceOf(InterruptedException.class);
    assertThat(connection.isOpen()).isTrue();
  }

  @Test
  void whatIsNotAcknowledgedCountsAsBackPressure() throws Exception {
    Connection connection = peer(HandshakeTrailer.FEATURE_PIECES);
    int sent = 0;
    while (connection.sendNotification(note(sent, 200_000)) == PostResult.POSTED) {
      // The kernel takes all, as this side reads; only the acknowledgement is missing.
      FakePeer.readFrame(control);
      sent++;
    }
    assertThat(sent * 200_144L)
        .isBetween((long) Notification.MAX_FRAME_BYTES, Notification.MAX_FRAME_BYTES + 400_288L);
    FakePeer.writeFrame(control, ControlCodec.encodeAck(sent));
    assertThat(connection.flushNotifications(WAIT)).isTrue();
    assertThat(connection.sendNotification(note(0, 1))).isEqualTo(PostResult.POSTED);
  }

  @Test
  void aPeerWithoutAcknowledgementsGetsWholeFramesAndFlushWaitsForTheKernel() throws Exception {
    Connection connection = peer(0);
    Notification large = note(1, 20 << 20);
    connection.sendNotification(large);
    assertThat(connection.flushNotifications(Duration.ofMillis(50)))
        .as("more than sockets hold")
        .isFalse();
    assertThat(FakePeer.readFrame(control)).isEqualTo(ControlCodec.encode(large));
    assertThat(connection.flushNotifications(WAIT)).isTrue();
  }

  @Test
  void acknowledgementsOvertakeALongNotification() throws Exception {
    Connection connection = peer(HandshakeTrailer.FEATURE_PIECES);
    byte[] large = ControlCodec.encode(note(1, 60 << 20));
    connection.sendNotification(note(1, 60 << 20));
    byte[] first = FakePeer.readFrame(control);
    assertThat(first).isEqualTo(NotificationPieces.cut(large).get(0));
    for (int i = 0; i < 100; i++) {
      FakePeer.writeFrame(control, ControlCodec.encode(note(i, 0)));
      assertThat(engine.takeNotification(WAIT).notification().type()).isEqualTo(i);
    }
    // The owner delivers it first, and acknowledges it then.
    assertThat(engine.loop().<Boolean>call(() -> true)).isTrue();
    NotificationPieces pieces = new NotificationPieces();
    Notification whole = pieces.add(ByteBuffer.wrap(first));
    long acknowledged = 0;
    while (whole == null) {
      byte[] frame = FakePeer.readFrame(control);
      if (ControlCodec.kind(ByteBuffer.wrap(frame), FakePeer.MAGIC) == ControlCodec.FrameKind.ACK) {
        acknowledged = ControlCodec.ackCount(ByteBuffer.wrap(frame));
      } else {
        whole = pieces.add(ByteBuffer.wrap(frame));
      }
    }
    assertThat(acknowledged).as("came between the pieces").isEqualTo(100);
    assertThat(ControlCodec.encode(whole)).isEqualTo(large);
  }

  private interface Attack {
    void run(Socket control) throws IOException;
  }

  private record Hostile(int features, Attack attack, String says) {}

  private static Map<String, Hostile> attacks() {
    int able = HandshakeTrailer.FEATURE_PIECES;
    Map<String, Hostile> all = new LinkedHashMap<>();
    all.put(
        "a piece that was not announced",
        new Hostile(0, s -> writePiece(s, 0, 100), "a piece of a notification and announced none"));
    all.put(
        "a gap",
        new Hostile(
            able,
            s -> {
              writePiece(s, 0, 100);
              writePiece(s, 101, 100);
            },
            "byte 100 of one of 1000016 is due"));
    all.put(
        "a notification between the pieces of another",
        new Hostile(
            able,
            s -> {
              writePiece(s, 0, 100);
              FakePeer.writeFrame(s, ControlCodec.encode(note(1, 1)));
            },
            "between the pieces of another"));
    all.put(
        "pieces of nothing",
        new Hostile(
            able,
            s -> FakePeer.writeFrame(s, ControlCodec.encodePiece(new byte[30], 0, 30)),
            "are no notification together"));
    all.put(
        "acknowledges what was not sent",
        new Hostile(
            able,
            s -> FakePeer.writeFrame(s, ControlCodec.encodeAck(1)),
            "it acknowledged 1 notifications, which is not what was sent"));
    return all;
  }

  private static void writePiece(Socket control, int offset, int length) throws IOException {
    FakePeer.writeFrame(control, ControlCodec.encodePiece(LONG, offset, length));
  }

  static Stream<String> attackNames() {
    return attacks().keySet().stream();
  }

  @ParameterizedTest
  @MethodSource("attackNames")
  void aHostilePeerCostsItsConnectionOnly(String name) throws Exception {
    Connection other = peer(HandshakeTrailer.FEATURE_PIECES);
    Socket otherControl = control;
    Hostile hostile = attacks().get(name);
    peer(hostile.features());
    hostile.attack().run(control);
    assertThat(ends.poll(30, TimeUnit.SECONDS))
        .isInstanceOf(HandshakeException.class)
        .hasMessageContaining("does not keep the protocol")
        .hasMessageContaining(hostile.says());
    until("nothing of it is counted", () -> engine.inboxBudget().used() == 0);
    assertThat(engine.pollNotification()).isNull();
    assertThat(other.isOpen()).isTrue();
    FakePeer.writeFrame(otherControl, ControlCodec.encode(note(5, 5)));
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(other);
  }
}
