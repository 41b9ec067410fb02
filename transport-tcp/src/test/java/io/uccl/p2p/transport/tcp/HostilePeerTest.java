package io.uccl.p2p.transport.tcp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.spi.ChannelRole;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.PendingChannel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A peer that greets as it should, or not, and then sends what it likes. */
@Timeout(value = 60, unit = TimeUnit.MINUTES)
class HostilePeerTest {

  private static final boolean PROVE = Boolean.getBoolean("p2p.prove");
  private static final InetSocketAddress NOWHERE =
      new InetSocketAddress(InetAddress.getLoopbackAddress(), 9);
  private static final int WINDOW = 16;
  private static final long COOKIE = 4711;

  private final long seed = Long.getLong("p2p.seed", System.nanoTime());
  private final Random random = new Random(seed);

  @Test
  @Tag("prove")
  @Tag("decoders")
  void damagedFramesInProcess() {
    int frames = PROVE ? 1_000_000 : 50_000;
    try (Side side = new Side(8, WINDOW)) {
      Region target = side.region(1 << 16);
      Region readOnly = side.region(1 << 16, RegionAccess.REMOTE_READ);
      Region local = side.region(1 << 16, RegionAccess.LOCAL);
      readOnly.fill(random);
      HostileFrames hostile = new HostileFrames(random, target, readOnly, WINDOW);
      FakeSocket socket = new FakeSocket();
      TcpChannel channel = null;
      int channels = 0;
      for (int i = 0; i < frames; i++) {
        if (channel == null || Side.field(channel, "state").toString().equals("ENDED")) {
          side.poll();
          side.failed.clear();
          socket = new FakeSocket();
          channel = new TcpChannel(side.transport, NOWHERE, COOKIE, COOKIE, WINDOW);
          channel.attach(socket, null, true);
          channels++;
        }
        if (random.nextInt(3) == 0) {
          // Some of these are still queued when an answer to them comes.
          side.post(
              channel,
              random.nextBoolean() ? OpBuffer.WRITE : OpBuffer.READ,
              local,
              0,
              random.nextBoolean() ? 0 : random.nextInt(30_000),
              target.describe(0, target.size),
              0);
        }
        socket.room(random.nextBoolean() ? random.nextInt(1000) : random.nextInt(200_000));
        socket.arrive(hostile.next());
        side.receive(channel);
        side.poll();
        assertThat(channel.replyCount()).isLessThanOrEqualTo(256);
        if (i % 1024 == 0) {
          check(target, readOnly, local);
        }
      }
      channel.close();
      side.poll();
      while (!side.allEnded()) {
        side.poll();
      }
      check(target, readOnly, local);
      assertThat(channels).as("channels that frames ended, %s", this).isGreaterThan(frames / 50);
      assertThat(target.memory.viewsInUse() + readOnly.memory.viewsInUse()).isZero();
      assertThat(local.memory.viewsInUse()).isZero();
      side.assertClean(0);
    }
  }

  private void check(Region target, Region readOnly, Region local) {
    target.assertGuards(toString());
    local.assertGuards(toString());
    readOnly.assertAsExpected(toString());
  }

  @Test
  @Tag("prove")
  @Tag("decoders")
  void damagedFramesOverSocketsWhileAGoodPeerTransfers() throws IOException {
    int frames = PROVE ? 50_000 : 2_000;
    try (Pair good = new Pair(new Side(8, WINDOW), new Side(8, WINDOW))) {
      Side victim = good.right;
      Region target = victim.region(1 << 16);
      Region readOnly = victim.region(1 << 16, RegionAccess.REMOTE_READ);
      Region local = victim.region(1 << 16, RegionAccess.LOCAL);
      Region goodSource = good.left.region(1 << 18);
      Region goodTarget = victim.region(1 << 18);
      readOnly.fill(random);
      HostileFrames hostile = new HostileFrames(random, target, readOnly, WINDOW);
      int sent = 0;
      int connections = 0;
      while (sent < frames) {
        connections++;
        PendingChannel pending = victim.transport.prepare(ChannelRole.ACCEPTOR);
        TcpParameters parameters = TcpParameters.decode(pending.parameters());
        TcpChannel channel =
            (TcpChannel) pending.complete(new TcpParameters(NOWHERE, COOKIE).encode());
        try (Socket socket = new Socket()) {
          socket.connect(parameters.listener());
          socket.getOutputStream().write(hello(parameters.cookie(), COOKIE));
          good.until(() -> victim.ready.contains(channel));
          for (int i = 0; i < 4; i++) {
            victim.post(
                channel,
                i % 2 == 0 ? OpBuffer.WRITE : OpBuffer.READ,
                local,
                0,
                1000,
                target.describe(0, target.size),
                0);
          }
          for (int burst = random.nextInt(40); burst >= 0 && sent < frames; burst--, sent++) {
            ByteBuffer frame = hostile.next();
            byte[] bytes = new byte[frame.remaining()];
            frame.get(bytes);
            socket.getOutputStream().write(bytes);
            victim.poll();
          }
          goodSource.fill(random);
          good.left.post(
              good.leftChannel,
              OpBuffer.WRITE,
              goodSource,
              0,
              goodSource.size,
              goodTarget.describe(0, goodTarget.size),
              0);
          goodTarget.expect(0, goodSource, 0, goodSource.size);
          good.until(() -> good.left.allEnded());
          goodTarget.assertAsExpected(toString());
          check(target, readOnly, local);
        } catch (IOException e) {
          // The victim has closed the connection while we were still writing.
          assertThat(victim.failed).as("%s", e).containsKey(channel);
        }
        good.until(() -> victim.failed.containsKey(channel) && victim.allEnded());
        assertThat(victim.failed.remove(channel)).isInstanceOf(PeerLostException.class);
        victim.ready.remove(channel);
      }
      assertThat(connections).isGreaterThan(frames / 50);
      assertThat(good.left.failed).isEmpty();
      assertThat(target.memory.viewsInUse() + readOnly.memory.viewsInUse()).isZero();
      assertThat(local.memory.viewsInUse() + goodTarget.memory.viewsInUse()).isZero();
      victim.assertClean(1);
    }
  }

  /** A write whose DONE comes before it was sent would leave a dead operation in the queue. */
  @Test
  void anAnswerAheadOfItsOperationEndsTheChannel() {
    try (Side side = new Side(8, WINDOW)) {
      Region region = side.region(100);
      for (int kind : new int[] {TcpFrame.DONE, TcpFrame.DATA}) {
        FakeSocket socket = new FakeSocket();
        TcpChannel channel = new TcpChannel(side.transport, NOWHERE, COOKIE, COOKIE, WINDOW);
        channel.attach(socket, null, true);
        int opcode = kind == TcpFrame.DONE ? OpBuffer.WRITE : OpBuffer.READ;
        long id = side.post(channel, opcode, region, 0, 0, region.describe(0, 0), 0);
        // The first operation has the highest slot.
        socket.arrive(frame(kind, 0, 0, WINDOW - 1, 0, 0, 0, region));
        side.receive(channel);
        while (!side.allEnded()) {
          side.poll();
        }
        assertThat(side.failed.get(channel)).hasMessageContaining("ahead of its end");
        assertThat(side.ended.get(id)).get().isInstanceOf(PeerLostException.class);
      }
    }
  }

  /** What a peer may not do, and what is said then. */
  @Test
  void eachBreachOfTheProtocolIsNamed() {
    try (Side side = new Side(8, WINDOW)) {
      Region region = side.region(1000);
      int big = TcpFrame.MAX_PAYLOAD + 1;
      assertBreach(side, frame(TcpFrame.WRITE, 0, -1, 0, 0, 0, 0, region), "payload of -1 bytes");
      assertBreach(side, frame(TcpFrame.WRITE, 0, big, 0, 0, 0, 0, region), "payload of " + big);
      assertBreach(side, frame(TcpFrame.WRITE, 0, 8, 0, 0, 7, 0, region), "8 bytes at 0 of 7");
      assertBreach(side, frame(TcpFrame.WRITE, 0, 8, 0, 0, 9, 2, region), "8 bytes at 2 of 9");
      assertBreach(side, frame(TcpFrame.WRITE, 0, 0, 0, 0, -1, 0, region), "0 bytes at 0 of -1");
      assertBreach(
          side,
          frame(TcpFrame.WRITE, 0, 0, 0, 0, Long.MIN_VALUE, Long.MAX_VALUE, region),
          "of -9223372036854775808");
      assertBreach(side, frame(TcpFrame.WRITE, 0, 0, 0, 0, 9, -1, region), "0 bytes at -1 of 9");
      assertBreach(side, frame(TcpFrame.READ, 0, 1, 0, 0, 1, 0, region), "read request with");
      assertBreach(side, frame(TcpFrame.DONE, 0, 0, 3, 0, 0, 0, region), "operation 3, which");
      assertBreach(side, frame(TcpFrame.DATA, 0, 0, -1, 0, 0, 0, region), "which is not under way");
      assertBreach(side, frame(TcpFrame.DATA, 0, 0, WINDOW, 0, 0, 0, region), "operation 10,");
      assertBreach(side, frame(TcpFrame.DONE, 0, 4, 0, 0, 0, 0, region), "acknowledgement with a");
      for (int kind : new int[] {0, -1, TcpFrame.HELLO, TcpFrame.WELCOME, 7, 127}) {
        assertBreach(side, frame(kind, 0, 0, 0, 0, 0, 0, region), "frame of kind " + kind);
      }
    }
  }

  private static void assertBreach(Side side, ByteBuffer frame, String says) {
    FakeSocket socket = new FakeSocket();
    TcpChannel channel = new TcpChannel(side.transport, NOWHERE, COOKIE, COOKIE, WINDOW);
    channel.attach(socket, null, true);
    socket.arrive(frame);
    side.receive(channel);
    side.poll();
    assertThat(side.failed).containsKey(channel);
    assertThat(side.failed.get(channel)).hasMessageContaining(says);
  }

  @Test
  void moreOperationsThanAnyWindowEndTheChannel() {
    try (Side side = new Side(8, WINDOW)) {
      Region region = side.region(1000);
      for (int kind : new int[] {TcpFrame.WRITE, TcpFrame.READ}) {
        FakeSocket socket = new FakeSocket();
        TcpChannel channel = new TcpChannel(side.transport, NOWHERE, COOKIE, COOKIE, WINDOW);
        channel.attach(socket, null, true);
        int frames = 0;
        // The peer reads nothing, so no answer goes out.
        while (!side.failed.containsKey(channel)) {
          socket.arrive(frame(kind, TcpFrame.FLAG_LAST, 0, frames, region.base, 1, 0, region));
          side.receive(channel);
          side.poll();
          frames++;
          assertThat(frames).isLessThan(10_000);
        }
        assertThat(side.failed.get(channel)).hasMessageContaining("than the window allows");
        assertThat(frames).isGreaterThan(256);
        assertThat(channel.replyCount()).isLessThanOrEqualTo(256);
      }
    }
  }

  @Test
  void greetingsThatAreNoneAreClosedAndDoNotPileUp() throws IOException {
    try (Pair pair = new Pair(8)) {
      Side victim = pair.right;
      InetSocketAddress listener =
          TcpParameters.decode(victim.transport.prepare(ChannelRole.ACCEPTOR).parameters())
              .listener();
      PendingChannel pending = victim.transport.prepare(ChannelRole.ACCEPTOR);
      long cookie = TcpParameters.decode(pending.parameters()).cookie();
      TcpChannel channel =
          (TcpChannel) pending.complete(new TcpParameters(NOWHERE, COOKIE).encode());
      byte[] right = hello(cookie, COOKIE);
      byte[] otherKind = right.clone();
      otherKind[0] = TcpFrame.WELCOME;
      byte[] payload = right.clone();
      payload[4] = 1;
      List<byte[]> wrong =
          List.of(
              hello(cookie, COOKIE + 1),
              hello(cookie + 1, COOKIE),
              otherKind,
              payload,
              new byte[64]);
      for (byte[] greeting : wrong) {
        try (Socket socket = new Socket()) {
          socket.connect(listener);
          socket.getOutputStream().write(greeting);
          assertClosedByPeer(pair, socket);
        }
      }
      try (Socket half = new Socket()) {
        half.connect(listener);
        half.getOutputStream().write(right, 0, 63);
        half.shutdownOutput();
        assertClosedByPeer(pair, half);
      }
      List<Socket> silent = new ArrayList<>();
      try {
        for (int i = 0; i < 300; i++) {
          Socket socket = new Socket();
          silent.add(socket);
          socket.connect(listener);
          int made = i + 1;
          pair.until(() -> waiting(victim) == Math.min(made, 256));
        }
        assertClosedByPeer(pair, silent.get(0));
        assertClosedByPeer(pair, silent.get(43));
        assertThat(victim.ready).doesNotContain(channel);
        // The channel has waited for its own peer all the time.
        silent.get(299).getOutputStream().write(right);
        pair.until(() -> victim.ready.contains(channel));
        Socket second = silent.get(298);
        second.getOutputStream().write(right);
        assertClosedByPeer(pair, second);
      } finally {
        for (Socket socket : silent) {
          socket.close();
        }
      }
      pair.until(() -> waiting(victim) == 0 && victim.failed.containsKey(channel));
      victim.assertClean(1);
    }
  }

  private static int waiting(Side side) {
    return ((Collection<?>) Side.field(Side.field(side.transport, "greetings"), "waiting")).size();
  }

  private static void assertClosedByPeer(Pair pair, Socket socket) throws IOException {
    socket.setSoTimeout(1);
    pair.until(
        () -> {
          try {
            return socket.getInputStream().read() < 0;
          } catch (SocketTimeoutException e) {
            return false;
          } catch (IOException e) {
            return true;
          }
        });
  }

  @Test
  void parametersOfAPeerAreChecked() throws IOException {
    byte[] good = new TcpParameters(NOWHERE, COOKIE).encode();
    assertThat(TcpParameters.decode(good).cookie()).isEqualTo(COOKIE);
    try (Side side = new Side(8)) {
      for (int i = 0; i < 2_000; i++) {
        byte[] bytes = Arrays.copyOf(good, random.nextInt(32));
        for (int n = random.nextInt(3); n > 0 && bytes.length > 0; n--) {
          bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
        }
        PendingChannel pending = side.transport.prepare(ChannelRole.ACCEPTOR);
        try {
          pending.complete(bytes).close();
        } catch (HandshakeException e) {
          assertThat(e.summary()).startsWith("the peer's tcp parameters make no sense");
        }
        side.poll();
      }
      side.assertClean(0);
      PendingChannel aborted = side.transport.prepare(ChannelRole.CONNECTOR);
      aborted.abort();
      aborted.abort();
      assertThatThrownBy(() -> aborted.complete(good)).hasMessageContaining("after abort");
      side.assertClean(0);
    }
  }

  @Test
  void aPeerThatIsNotThereFailsTheChannel() throws IOException {
    try (Socket taken = new Socket();
        Side side = new Side(8)) {
      // Kept, so that nobody else is given the port and listens on it.
      taken.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      for (InetSocketAddress address :
          List.of(
              new InetSocketAddress(InetAddress.getLoopbackAddress(), taken.getLocalPort()),
              new InetSocketAddress(InetAddress.getByName("255.255.255.255"), 1),
              new InetSocketAddress(InetAddress.getByName("224.0.0.1"), 1))) {
        TcpChannel channel =
            (TcpChannel)
                side.transport
                    .prepare(ChannelRole.CONNECTOR)
                    .complete(new TcpParameters(address, 1).encode());
        while (!side.failed.containsKey(channel)) {
          side.poll();
        }
        assertThat(side.failed.get(channel))
            .hasMessageContaining("data connection could not be made")
            .hasMessageContaining(address.getAddress().getHostAddress())
            .hasMessageNotContaining("null");
      }
      side.poll();
      side.assertClean(0);
    }
  }

  private static byte[] hello(long acceptorCookie, long connectorCookie) {
    ByteBuffer frame = ByteBuffer.allocate(TcpFrame.HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    TcpFrame.put(frame, 0, TcpFrame.HELLO, 0, 0, 0, acceptorCookie, connectorCookie, 0, 0, 0, 0, 0);
    return frame.array();
  }

  private static ByteBuffer frame(
      int kind,
      int flags,
      int payload,
      long id,
      long address,
      long length,
      long offset,
      Region region) {
    ByteBuffer frame = ByteBuffer.allocate(TcpFrame.HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    TcpFrame.put(
        frame,
        0,
        kind & 0xff,
        flags,
        0,
        payload,
        id,
        address,
        length,
        offset,
        region.rid,
        region.describe(0, 0).idx(),
        region.describe(0, 0).own0());
    return frame;
  }

  @Override
  public String toString() {
    return "-Dp2p.seed=" + seed;
  }
}
