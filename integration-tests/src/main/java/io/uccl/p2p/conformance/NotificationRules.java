package io.uccl.p2p.conformance;

import static io.uccl.p2p.conformance.Session.failureOf;
import static io.uccl.p2p.conformance.Session.fill;
import static io.uccl.p2p.conformance.Session.finish;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.uccl.p2p.Connection;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.Transfer;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Rules about notifications. */
abstract class NotificationRules extends Rules {

  private static final int SIZE = 100_000;

  NotificationRules(TransportConformance kit) {
    super(kit);
  }

  @Test
  @DisplayName("N1 A notification arrives whole, on both sides, whatever bytes it has")
  void anyBytes() throws InterruptedException {
    byte[] all = new byte[256];
    for (int i = 0; i < all.length; i++) {
      all[i] = (byte) i;
    }
    byte[] nothing = {};
    byte[] zero = {0};
    List<Notification> notifications =
        List.of(
            Notification.of("block-17", new byte[] {1, 2, 3}),
            Notification.of(0, nothing, nothing),
            Notification.of(1, nothing, zero),
            Notification.of(-1, zero, nothing),
            Notification.of(Integer.MIN_VALUE, all, all),
            Notification.of("\u00e4\u4e2d \n\t", "\u20ac".getBytes(StandardCharsets.UTF_8)),
            // Looks like the header of another.
            Notification.of(
                7, nothing, new byte[] {(byte) 0xad, (byte) 0xde, (byte) 0xad, (byte) 0xde, 0, 0}));
    try (Session session = session()) {
      for (Notification each : notifications) {
        assertThat(session.connection().sendNotification(each)).isEqualTo(PostResult.POSTED);
        assertThat(session.peer().take()).isEqualTo(each);
        session.back().notifyPeer(each);
        assertThat(take(session.engine()).notification()).isEqualTo(each);
      }
    }
  }

  @Test
  @DisplayName("N2 A notification may be long")
  void longOnes() throws InterruptedException {
    try (Session session = session()) {
      for (int size : new int[] {65_536, 262_143, 262_145, 1 << 20, (1 << 20) + 1}) {
        byte[] name = new byte[size / 3];
        byte[] message = new byte[size - name.length];
        random().nextBytes(name);
        random().nextBytes(message);
        Notification sent = Notification.of(size, name, message);
        assertThat(session.connection().sendNotification(sent)).isEqualTo(PostResult.POSTED);
        assertThat(session.peer().take()).as("%d bytes, %s", size, seedText()).isEqualTo(sent);
        session.back().notifyPeer(sent);
        assertThat(take(session.engine()).notification())
            .as("%d bytes back, %s", size, seedText())
            .isEqualTo(sent);
      }
      assertThatIllegalArgumentException()
          .isThrownBy(() -> Notification.of("n", new byte[Notification.MAX_FRAME_BYTES - 16]));
    }
  }

  @Test
  @DisplayName("N3 Notifications of one connection arrive in order, each once")
  void order() throws InterruptedException {
    int count = 1000;
    try (Session session = session()) {
      for (int i = 0; i < count; i++) {
        // Large ones between small ones.
        Notification each = Notification.of(i, new byte[0], new byte[i % 100 == 50 ? 50_000 : i]);
        assertThat(session.connection().sendNotification(each)).isEqualTo(PostResult.POSTED);
      }
      for (int i = 0; i < count; i++) {
        assertThat(session.peer().take().type()).isEqualTo(i);
      }
      assertThat(session.peer().take(Duration.ofMillis(1))).as("one more").isNull();
    }
  }

  @Test
  @DisplayName("N4 Who is notified after a completed write sees its bytes")
  void afterCompletion() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      for (int round = 1; round <= 30; round++) {
        fill(local, round);
        finish(session.connection().write(local, 0, there));
        session.connection().sendNotification(Notification.of(round, new byte[0], new byte[0]));
        assertThat(session.peer().take().type()).isEqualTo(round);
        remote.check("round " + round, round);
      }
    }
  }

  @Test
  @DisplayName("N5 A notification that was sent after a transfer comes after its bytes")
  void sentAfter() throws InterruptedException {
    try (Session session = session()) {
      MemoryRegion local = session.local(SIZE);
      RemoteRegion remote = session.remote(SIZE);
      FifoDescriptor there = remote.advertise();
      Connection connection = session.connection();
      for (int round = 1; round <= 30; round++) {
        fill(local, round);
        Transfer transfer = connection.write(local, 0, there);
        PostResult result =
            connection.sendAfter(transfer, Notification.of(round, new byte[0], new byte[0]));
        assertThat(result).isEqualTo(PostResult.POSTED);
        // Nobody here waits for the transfer before the peer is told.
        assertThat(session.peer().take().type()).isEqualTo(round);
        remote.check("round " + round, round);
        finish(transfer);
      }
    }
  }

  @Test
  @DisplayName("N6 A notification that was to follow a failed transfer is dropped")
  void sentAfterFailure() throws InterruptedException {
    try (Session session = session()) {
      RemoteRegion readable = session.peer().register(SIZE, RegionAccess.REMOTE_READ);
      Connection connection = session.connection();
      Transfer refused = connection.write(session.local(SIZE), 0, readable.advertise());
      try {
        connection.sendAfter(refused, Notification.of("it is there", new byte[0]));
      } catch (P2pException e) {
        // The refusal was quicker, and broke the connection.
        assertThat(connection.isOpen()).isFalse();
      }
      assertThat(failureOf(refused)).isNotNull();
      Connection next = connection.isOpen() ? connection : session.connectAgain();
      next.sendNotification(Notification.of("next", new byte[0]));
      assertThat(session.peer().take().nameText()).isEqualTo("next");
    }
  }

  @Test
  @DisplayName("N7 A notification says which connection it came by")
  void origin() throws InterruptedException {
    try (Session session = session()) {
      Connection second = session.engine().connect(session.peer().metadata(), Limits.PATIENCE);
      RemoteConnection secondBack = session.peer().accept();
      session.back().notifyPeer(Notification.of("first", new byte[0]));
      assertThat(take(session.engine()).from()).isSameAs(session.connection());
      secondBack.notifyPeer(Notification.of("second", new byte[0]));
      assertThat(take(session.engine()).from()).isSameAs(second);
      second.sendNotification(Notification.of("second", new byte[0]));
      RemoteEngine.Taken taken =
          Objects.requireNonNull(session.peer().take(Limits.PATIENCE), "taken");
      assertThat(taken.from()).isEqualTo(secondBack.name());
    }
  }

  @Test
  @DisplayName("N8 Taking a notification waits as long as asked, and no longer")
  void waiting() throws InterruptedException {
    Duration wait = Duration.ofMillis(50);
    try (Session session = session()) {
      assertThat(session.engine().pollNotification()).isNull();
      long start = System.nanoTime();
      assertThat(session.engine().takeNotification(wait)).isNull();
      assertThat(Duration.ofNanos(System.nanoTime() - start))
          .isBetween(wait, wait.plus(Limits.QUICK));
    }
  }

  @Test
  @DisplayName("N9 Notifications pass transfers by in both directions, and harm none")
  void amidTransfers() throws InterruptedException {
    int size = 8 << 20;
    try (Session session = session()) {
      MemoryRegion out = session.engine().register(ByteBuffer.allocateDirect(size));
      MemoryRegion in = session.engine().register(ByteBuffer.allocateDirect(size));
      RemoteRegion target = session.remote(size);
      RemoteRegion source = session.remote(size);
      FifoDescriptor to = target.advertise();
      FifoDescriptor from = source.advertise();
      fill(out, 1);
      source.fill(2);
      List<Transfer> transfers = new ArrayList<>();
      for (int i = 0; i < 20; i++) {
        transfers.add(session.connection().write(out, 0, to));
        transfers.add(session.connection().read(in, 0, from));
        session.connection().sendNotification(Notification.of(i, new byte[0], new byte[1000]));
        session.back().notifyPeer(Notification.of(i, new byte[0], new byte[1000]));
      }
      for (int i = 0; i < 20; i++) {
        assertThat(session.peer().take().type()).isEqualTo(i);
        assertThat(take(session.engine()).notification().type()).isEqualTo(i);
      }
      for (Transfer each : transfers) {
        finish(each);
      }
      target.check("the writes", 1);
      Session.check("the reads", in, 2);
    }
  }

  @Test
  @DisplayName("N10 Notifications of all lengths up to the longest arrive in order, each once")
  void allLengths() throws InterruptedException {
    int piece = 256 << 10;
    int longest = Notification.MAX_FRAME_BYTES - Notification.HEADER_BYTES;
    try (Session session = session()) {
      List<String> sent = new ArrayList<>();
      for (int size : new int[] {0, 1, piece - 1, piece, piece + 1, longest, 0, piece + 1}) {
        byte[] message = new byte[size];
        random().nextBytes(message);
        Notification each = Notification.of(sent.size(), new byte[0], message);
        sent.add(PeerMain.sum(each));
        while (session.connection().sendNotification(each) == PostResult.BACK_PRESSURED) {
          assertThat(session.connection().flushNotifications(Limits.PATIENCE)).isTrue();
        }
      }
      for (String each : sent) {
        assertThat(session.peer().takeSum(Limits.PATIENCE)).as(seedText()).isEqualTo(each);
      }
      assertThat(session.peer().takeSum(Duration.ZERO)).as("one more").isEmpty();
    }
  }

  @Test
  @DisplayName(
      "N11 After a flush the peer has all that was sent, whatever becomes of the connection")
  void flush() throws InterruptedException {
    try (Session session = session()) {
      for (int i = 0; i < 100; i++) {
        session.connection().sendNotification(Notification.of(i, new byte[0], new byte[i * 1000]));
      }
      assertThat(session.connection().flushNotifications(Limits.PATIENCE)).isTrue();
      session.connection().close();
      for (int i = 0; i < 100; i++) {
        assertThat(session.peer().take(Duration.ZERO))
            .as("notification %d", i)
            .isNotNull()
            .extracting(taken -> taken.notification().type())
            .isEqualTo(i);
      }
    }
  }

  @Test
  @DisplayName("N12 A peer that takes nothing holds its sender back, and loses nothing")
  void backPressure() throws InterruptedException {
    byte[] message = new byte[4 << 20];
    try (Session session = session()) {
      Connection connection = session.connection();
      List<String> sent = new ArrayList<>();
      while (true) {
        Notification each = Notification.of(sent.size(), new byte[0], message);
        if (connection.sendNotification(each) == PostResult.POSTED) {
          sent.add(PeerMain.sum(each));
        } else if (!connection.flushNotifications(Duration.ofSeconds(2))) {
          break;
        }
        assertThat(sent).as("an inbox of 128 MiB, and 64 MiB unconfirmed").hasSizeLessThan(60);
      }
      for (String each : sent) {
        assertThat(session.peer().takeSum(Limits.PATIENCE)).isEqualTo(each);
      }
      assertThat(connection.flushNotifications(Limits.PATIENCE)).isTrue();
      assertThat(connection.sendNotification(Notification.of("last", new byte[0])))
          .isEqualTo(PostResult.POSTED);
      assertThat(session.peer().take().nameText()).isEqualTo("last");
    }
  }

  private static ReceivedNotification take(P2pEngine engine) throws InterruptedException {
    ReceivedNotification received = engine.takeNotification(Limits.PATIENCE);
    if (received == null) {
      throw new AssertionError("no notification came");
    }
    return received;
  }
}
