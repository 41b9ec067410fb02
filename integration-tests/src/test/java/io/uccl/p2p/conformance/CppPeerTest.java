package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerState;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.Transfer;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * An engine and a process that is a C++ engine as far as the wire tells, on the simulated cxi
 * provider. The process ends with an error when it gets what a C++ engine would not stand; each
 * test ends with looking whether it did.
 */
@ExtendWith(NeedsLibfabric.class)
@Timeout(120)
class CppPeerTest {

  private static final Duration WAIT = Duration.ofSeconds(30);
  private static final int LENGTH = 300_001;
  private static final Notification NEWS = Notification.of("agent-a", new byte[] {1, 0, 2});

  /** As captured from the C++ engine: type 0, name "agent-a", message "hello". */
  private static final byte[] GOLDEN =
      HexFormat.of().parseHex("0000001caddeadde0000000007000000050000006167656e742d6168656c6c6f");

  @TempDir Path folder;
  private P2pEngine engine;
  private CppPeer peer;
  private EndpointMetadata there;

  /** Who connects. */
  enum Direction {
    ENGINE_CONNECTS,
    PEER_CONNECTS
  }

  /** A connection, and the peer's number for its side. */
  private record Joined(Connection connection, int number) {}

  @BeforeEach
  void open() throws IOException {
    engine =
        P2pEngine.open(
            EngineConfig.of(
                Map.of(
                    "UCCL_SOCKET_IFNAME", "lo",
                    "UCCL_LIBFABRIC_SO", NeedsLibfabric.LIBRARY,
                    "UCCL_CXI_PROVIDER", "cxi",
                    "UCCL_P2P_TRANSPORT", "cxi")));
    peer = CppPeer.start(folder, LENGTH);
    there = peer.listen();
  }

  @AfterEach
  void theEnginesEndIsHarmlessToo() throws Exception {
    engine.close();
    peer.end();
  }

  private Joined join(Direction direction) throws Exception {
    if (direction == Direction.ENGINE_CONNECTS) {
      Connection connection = engine.connect(there, WAIT);
      return new Joined(connection, peer.accept());
    }
    int number = peer.connect(engine.metadata());
    return new Joined(engine.accept(WAIT), number);
  }

  private MemoryRegion region(int seed) {
    MemoryRegion region = engine.allocate(LENGTH);
    region.slice(0, LENGTH).put(CppPeer.pattern(LENGTH, seed));
    return region;
  }

  private static void assertFilled(MemoryRegion region, int seed) {
    byte[] bytes = new byte[LENGTH];
    region.slice(0, LENGTH).get(bytes);
    assertThat(bytes).isEqualTo(CppPeer.pattern(LENGTH, seed));
  }

  @ParameterizedTest
  @EnumSource
  void eachSideReadsAndWritesTheOthersMemory(Direction direction) throws Exception {
    Joined joined = join(direction);
    FifoDescriptor theirs = peer.advertise(0, LENGTH);
    joined.connection.write(region(1), 0, theirs).await();
    peer.assertFilled(1);

    peer.run("fill", 0, 2);
    MemoryRegion read = region(0);
    joined.connection.read(read, 0, theirs).await();
    assertFilled(read, 2);

    peer.run("fill", 0, 3);
    peer.transfer("write", joined.number, read.advertise());
    assertFilled(read, 3);

    peer.transfer("read", joined.number, region(4).advertise());
    peer.assertFilled(4);
  }

  @ParameterizedTest
  @EnumSource
  void notificationsOfAnyBytesGoBothWaysInOrder(Direction direction) throws Exception {
    Joined joined = join(direction);
    List<Notification> all = new ArrayList<>();
    all.add(Notification.of(0, new byte[0], new byte[0]));
    all.add(Notification.of(-1, new byte[] {0}, new byte[] {0, 0, 0}));
    all.add(Notification.of(7, new byte[0], "hello".getBytes(StandardCharsets.US_ASCII)));
    for (int length : new int[] {255, 256, 257, 256 << 10, 1 << 20}) {
      all.add(Notification.of("n", CppPeer.pattern(length, length)));
    }
    for (Notification each : all) {
      joined.connection.sendNotification(each);
    }
    assertThat(joined.connection.flushNotifications(WAIT)).isTrue();
    for (Notification each : all) {
      assertThat(peer.notification()).isEqualTo(each);
    }
    assertThat(peer.tally().get(2)).as("frames of them").isEqualTo(all.size());
    for (Notification each : all) {
      peer.notify(joined.number, each);
    }
    for (Notification each : all) {
      ReceivedNotification received = engine.takeNotification(WAIT);
      assertThat(received.notification()).isEqualTo(each);
      assertThat(received.from()).isSameAs(joined.connection);
    }
  }

  @ParameterizedTest
  @EnumSource
  void aNotificationFollowsItsTransfer(Direction direction) throws Exception {
    Joined joined = join(direction);
    Transfer transfer = joined.connection.write(region(5), 0, peer.advertise(0, LENGTH));
    joined.connection.sendAfter(transfer, NEWS);
    assertThat(peer.notification()).isEqualTo(NEWS);
    peer.assertFilled(5);
    transfer.await();
  }

  @ParameterizedTest
  @EnumSource
  void aPeerWithoutAControlPortMovesBytesAndTakesNoNotifications(Direction direction)
      throws Exception {
    peer.run("set", "no-port", 1);
    Joined joined = join(direction);
    joined.connection.write(region(1), 0, peer.advertise(0, LENGTH)).await();
    peer.assertFilled(1);
    peer.transfer("read", joined.number, region(2).advertise());
    peer.assertFilled(2);
    peer.notify(joined.number, NEWS);
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(joined.connection);
    if (direction == Direction.PEER_CONNECTS) {
      assertThatThrownBy(() -> joined.connection.sendNotification(NEWS))
          .isInstanceOf(PeerUnreachableException.class)
          .hasMessageContaining("names no control port");
    } else {
      // Its answer's port is not needed: this side has dialled it already.
      joined.connection.sendNotification(NEWS);
      assertThat(peer.notification()).isEqualTo(NEWS);
    }
  }

  @Test
  void anAnswerMayComeLate() throws Exception {
    peer.run("set", "late", 500);
    long start = System.nanoTime();
    Joined joined = join(Direction.ENGINE_CONNECTS);
    assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.MILLISECONDS.toNanos(500));
    peer.notify(joined.number, NEWS);
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(joined.connection);
  }

  @ParameterizedTest
  @EnumSource
  void framesMayComeByteByByteAndHandshakesHaveBytesBehindTheAddress(Direction direction)
      throws Exception {
    peer.run("set", "split", 1);
    peer.run("set", "trailing", 4000);
    Joined joined = join(direction);
    peer.notify(joined.number, Notification.of("n", CppPeer.pattern(5000, 1)));
    assertThat(engine.takeNotification(WAIT).notification())
        .isEqualTo(Notification.of("n", CppPeer.pattern(5000, 1)));
    joined.connection.write(region(1), 0, peer.advertise(0, LENGTH)).await();
    peer.assertFilled(1);
  }

  @Test
  void handshakesAndNotificationsInOneSegmentAreEachTaken() throws Exception {
    peer.run("set", "join", 1);
    int first = peer.beginConnect(engine.metadata());
    int second = peer.beginConnect(engine.metadata());
    peer.notify(first, NEWS);
    peer.notify(first, NEWS);
    peer.run("set", "join", 0);
    peer.run("answered", first);
    peer.run("answered", second);
    Connection one = engine.accept(WAIT);
    Connection two = engine.accept(WAIT);
    for (int i = 0; i < 2; i++) {
      ReceivedNotification received = engine.takeNotification(WAIT);
      assertThat(received.notification()).isEqualTo(NEWS);
      assertThat(received.from()).as("two peers are on that connection").isNull();
    }
    peer.transfer("read", first, region(1).advertise());
    peer.assertFilled(1);
    peer.transfer("read", second, region(2).advertise());
    peer.assertFilled(2);

    one.close();
    two.write(region(3), 0, peer.advertise(0, LENGTH)).await();
    peer.assertFilled(3);
    peer.notify(second, NEWS);
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(two);
    two.sendNotification(NEWS);
    assertThat(peer.notification()).isEqualTo(NEWS);
  }

  @Test
  void eachConnectIsAConnectionOfItsOwn() throws Exception {
    Joined first = join(Direction.ENGINE_CONNECTS);
    Joined second = join(Direction.ENGINE_CONNECTS);
    first.connection.sendNotification(NEWS);
    assertThat(peer.notification()).isEqualTo(NEWS);
    first.connection.close();
    second.connection.write(region(1), 0, peer.advertise(0, LENGTH)).await();
    peer.assertFilled(1);
    peer.notify(second.number, NEWS);
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(second.connection);
    second.connection.sendNotification(NEWS);
    assertThat(peer.notification()).isEqualTo(NEWS);
  }

  @Test
  void bothMayConnectToEachOther() throws Exception {
    Joined ours = join(Direction.ENGINE_CONNECTS);
    Joined theirs = join(Direction.PEER_CONNECTS);
    ours.connection.write(region(1), 0, peer.advertise(0, LENGTH)).await();
    peer.assertFilled(1);
    theirs.connection.write(region(2), 0, peer.advertise(0, LENGTH)).await();
    peer.assertFilled(2);
    ours.connection.sendNotification(NEWS);
    theirs.connection.sendNotification(NEWS);
    assertThat(peer.notification()).isEqualTo(NEWS);
    assertThat(peer.notification()).isEqualTo(NEWS);
    peer.notify(ours.number, NEWS);
    peer.notify(theirs.number, NEWS);
    assertThat(engine.takeNotification(WAIT).notification()).isEqualTo(NEWS);
    assertThat(engine.takeNotification(WAIT).notification()).isEqualTo(NEWS);
  }

  @Test
  void aPeerThatDoesNotAnswerEndsOnlyThatAttempt() throws Exception {
    peer.run("set", "silent", 1);
    assertThatThrownBy(() -> engine.connect(there, Duration.ofSeconds(2)))
        .isInstanceOf(PeerUnreachableException.class)
        .hasMessageContaining("in time");
    peer.run("accept");
    peer.run("set", "silent", 0);
    Joined joined = join(Direction.ENGINE_CONNECTS);
    joined.connection.sendNotification(NEWS);
    assertThat(peer.notification()).isEqualTo(NEWS);
  }

  @ParameterizedTest
  @EnumSource
  void aPeerThatIsKilledIsLost(Direction direction) throws Exception {
    Joined joined = join(direction);
    BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
    BlockingQueue<PeerState> states = new LinkedBlockingQueue<>();
    joined.connection.onClosed(ends::add);
    joined.connection.onPeerState(states::add);
    peer.kill();
    assertThat(ends.poll(30, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
    assertThat(states).containsExactly(PeerState.LOST);
  }

  @Test
  void aPeerThatHangsUpIsLostAndConnectsAgain() throws Exception {
    Joined joined = join(Direction.PEER_CONNECTS);
    BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
    joined.connection.onClosed(ends::add);
    peer.run("hang-up", joined.number);
    assertThat(ends.poll(30, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
    Joined again = join(Direction.PEER_CONNECTS);
    again.connection.write(region(1), 0, peer.advertise(0, LENGTH)).await();
    peer.assertFilled(1);
  }

  @Test
  void aRangeThatThePeersRegionDoesNotHaveIsRefused() throws Exception {
    Joined joined = join(Direction.ENGINE_CONNECTS);
    FifoDescriptor tooLong = peer.advertise(0, LENGTH + 1L);
    MemoryRegion local = engine.allocate(LENGTH + 1L);
    assertThatThrownBy(() -> joined.connection.write(local, 0, tooLong).await())
        .isInstanceOf(RemoteAccessException.class);
    assertThat(joined.connection.isOpen()).isTrue();
  }

  @Test
  void aClosedRegionIsNotReached() throws Exception {
    Joined joined = join(Direction.PEER_CONNECTS);
    MemoryRegion region = region(1);
    String descriptor = HexFormat.of().formatHex(region.advertise().encode());
    region.close();
    assertThat(peer.answerTo("write", joined.number, 0, 0, descriptor)).startsWith("error");
    peer.transfer("read", joined.number, region(2).advertise());
    peer.assertFilled(2);
  }

  @Test
  void badFramesCostTheirConnectionOnly() throws Exception {
    Joined good = join(Direction.ENGINE_CONNECTS);
    Joined bad = join(Direction.PEER_CONNECTS);
    BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
    bad.connection.onClosed(ends::add);
    peer.run("raw", bad.number, "00000004ffffffff");
    assertThat(ends.poll(30, TimeUnit.SECONDS)).isNotNull();
    assertThat(bad.connection.isOpen()).isFalse();
    good.connection.write(region(1), 0, peer.advertise(0, LENGTH)).await();
    peer.assertFilled(1);
  }

  @Test
  void aCapturedNotificationIsTaken() throws Exception {
    Joined joined = join(Direction.PEER_CONNECTS);
    peer.run("raw", joined.number, HexFormat.of().formatHex(GOLDEN));
    assertThat(engine.takeNotification(WAIT).notification())
        .isEqualTo(Notification.of("agent-a", "hello".getBytes(StandardCharsets.US_ASCII)));
  }

  @Test
  void thePeerGetsHandshakesAndNotificationsAndNothingElse() throws Exception {
    Joined in = join(Direction.PEER_CONNECTS);
    Joined out = join(Direction.ENGINE_CONNECTS);
    for (Joined each : List.of(in, out)) {
      MemoryRegion region = region(1);
      peer.transfer("read", each.number, region.advertise());
      each.connection.write(region, 0, peer.advertise(0, LENGTH)).await();
      each.connection.sendNotification(Notification.of("n", new byte[300 << 10]));
      peer.notify(each.number, NEWS);
      assertThat(engine.takeNotification(WAIT)).isNotNull();
      assertThat(peer.notification()).isNotNull();
      region.close();
    }
    in.connection.close();
    MemoryRegion last = region(2);
    peer.transfer("read", out.number, last.advertise());
    last.close();
    out.connection.close();
    // What the peer has got behind that, it would have said: it ends when all links have ended.
    engine.close();
    peer.run("ended");
    assertThat(peer.tally())
        .as("handshakes, answers, notifications, connections")
        .containsExactly(1, 1, 2, 2);
  }

  @Test
  void thePeerDiesOfWhatACppEngineWouldNotStand() throws Exception {
    try (Socket stranger = new Socket()) {
      stranger.connect(there.socketAddress());
      DataOutputStream out = new DataOutputStream(stranger.getOutputStream());
      out.writeInt(0);
      out.write(GOLDEN);
      assertThat(peer.notification().nameText()).isEqualTo("agent-a");
      out.write(HexFormat.of().parseHex("000000085032504a01000000"));
      assertThat(peer.died()).contains("neither handshake nor notification");
    }
  }
}
