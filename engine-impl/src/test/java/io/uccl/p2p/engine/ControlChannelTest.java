package io.uccl.p2p.engine;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.PeerState;
import io.uccl.p2p.ResourceClosedException;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.ConnectException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.ProtocolException;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiConsumer;
import java.util.function.BooleanSupplier;
import jdk.net.ExtendedSocketOptions;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
class ControlChannelTest {

  private static final long SEED = 20260807;
  private static final long WAIT_SECONDS = 30;
  private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

  @RegisterExtension final Opened opened = new Opened();

  /** What a listener was told about a link. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Event(String what, byte @Nullable [] payload, @Nullable IOException cause) {}

  /** Keeps what it was told, link by link, and then does what the test wants. */
  private static class Recorder implements ControlChannel.Listener {
    private final BlockingQueue<ControlLink> accepted = new LinkedBlockingQueue<>();
    private final ConcurrentHashMap<ControlLink, BlockingQueue<Event>> events =
        new ConcurrentHashMap<>();
    volatile BiConsumer<ControlLink, Event> reaction = (link, event) -> {};

    private void happened(ControlLink link, Event event) {
      of(link).add(event);
      reaction.accept(link, event);
    }

    private BlockingQueue<Event> of(ControlLink link) {
      return events.computeIfAbsent(link, key -> new LinkedBlockingQueue<>());
    }

    @Override
    public void onConnected(ControlLink link) {
      happened(link, new Event("connected", null, null));
    }

    @Override
    public void onAccepted(ControlLink link) {
      accepted.add(link);
      happened(link, new Event("accepted", null, null));
    }

    @Override
    public void onFrame(ControlLink link, ByteBuffer payload) {
      byte[] bytes = new byte[payload.remaining()];
      payload.get(bytes);
      happened(link, new Event("frame", bytes, null));
    }

    @Override
    public void onPeerState(ControlLink link, PeerState state) {
      happened(link, new Event(state.name(), null, null));
    }

    @Override
    public void onClosed(ControlLink link, @Nullable IOException cause) {
      happened(link, new Event("closed", null, cause));
    }

    ControlLink nextAccepted() throws InterruptedException {
      ControlLink link = accepted.poll(WAIT_SECONDS, TimeUnit.SECONDS);
      assertThat(link).as("an accepted link").isNotNull();
      next(link, "accepted");
      return link;
    }

    Event next(ControlLink link, String what) throws InterruptedException {
      Event event = of(link).poll(WAIT_SECONDS, TimeUnit.SECONDS);
      assertThat(event).as("%s on %s", what, link).isNotNull();
      assertThat(event.what()).as("%s", event).isEqualTo(what);
      return event;
    }

    byte[] nextFrame(ControlLink link) throws InterruptedException {
      return next(link, "frame").payload();
    }

    void assertNothingMore(ControlLink link) {
      assertThat(of(link)).isEmpty();
    }
  }

  private static void echo(ControlLink link, Event event) {
    if (event.what().equals("frame")) {
      link.send(event.payload());
    }
  }

  private final Recorder recorder = new Recorder();

  private ControlChannel channel(ControlChannel.Listener listener) {
    return opened.closing(ControlChannel.open(LOOPBACK, 0, listener));
  }

  /** A peer that is not a control channel. */
  private Socket rawClient(ControlChannel channel) throws IOException {
    Socket socket = opened.closing(new Socket());
    socket.connect(channel.address());
    socket.setSoTimeout((int) TimeUnit.SECONDS.toMillis(WAIT_SECONDS));
    return socket;
  }

  private ServerSocket rawServer() throws IOException {
    return opened.closing(new ServerSocket(0, 50, LOOPBACK));
  }

  private Socket accept(ServerSocket server) throws IOException {
    server.setSoTimeout((int) TimeUnit.SECONDS.toMillis(WAIT_SECONDS));
    Socket socket = opened.closing(server.accept());
    socket.setSoTimeout((int) TimeUnit.SECONDS.toMillis(WAIT_SECONDS));
    return socket;
  }

  private static InetSocketAddress addressOf(ServerSocket server) {
    return new InetSocketAddress(server.getInetAddress(), server.getLocalPort());
  }

  private static byte[] frame(byte[] payload) {
    return ByteBuffer.allocate(4 + payload.length).putInt(payload.length).put(payload).array();
  }

  private static byte[] readFrame(Socket socket) throws IOException {
    DataInputStream in = new DataInputStream(socket.getInputStream());
    byte[] payload = new byte[in.readInt()];
    in.readFully(payload);
    return payload;
  }

  private static byte[] text(String text) {
    return text.getBytes(UTF_8);
  }

  private static void eventually(String what, BooleanSupplier condition) {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS);
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - end).as(what).isNegative();
      Thread.onSpinWait();
    }
  }

  private static List<Thread> controlThreads(ControlChannel channel) {
    String name = "p2p-control-" + channel.address().getPort();
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals(name))
        .toList();
  }

  // -- connecting and sending

  @Test
  void framesGoBothWaysBetweenTwoChannels() throws Exception {
    Recorder other = new Recorder();
    ControlChannel server = channel(other);
    ControlChannel client = channel(recorder);

    ControlLink out = client.connect(server.address());
    recorder.next(out, "connected");
    ControlLink in = other.nextAccepted();
    assertThat(out.send(text("one"))).isTrue();
    assertThat(out.send(text("two"))).isTrue();
    assertThat(in.send(text("three"))).isTrue();

    assertThat(other.nextFrame(in)).isEqualTo(text("one"));
    assertThat(other.nextFrame(in)).isEqualTo(text("two"));
    assertThat(recorder.nextFrame(out)).isEqualTo(text("three"));
    assertThat(out.outgoing()).isTrue();
    assertThat(in.outgoing()).isFalse();
    assertThat(out.remote()).isEqualTo(server.address());
    assertThat(in.remote().getAddress()).isEqualTo(LOOPBACK);
  }

  @Test
  void theKernelAsksAfterPeersThatAreSilent() throws Exception {
    Recorder other = new Recorder();
    ControlChannel server = channel(other);
    ControlLink out = channel(recorder).connect(server.address());
    recorder.next(out, "connected");
    for (ControlLink link : List.of(out, other.nextAccepted())) {
      assertThat(link.socket.getOption(StandardSocketOptions.SO_KEEPALIVE)).isTrue();
      assertThat(
              link.socket.getOption(ExtendedSocketOptions.TCP_KEEPIDLE)
                  + link.socket.getOption(ExtendedSocketOptions.TCP_KEEPCOUNT)
                      * link.socket.getOption(ExtendedSocketOptions.TCP_KEEPINTERVAL))
          .as("seconds until a peer that does not answer is lost")
          .isEqualTo(6);
    }
  }

  @Test
  void whatIsSentBeforeTheLinkIsConnectedArrives() throws Exception {
    ServerSocket server = rawServer();
    ControlLink link = channel(recorder).connect(addressOf(server));
    assertThat(link.send(text("early"))).isTrue();

    assertThat(readFrame(accept(server))).isEqualTo(text("early"));
  }

  @Test
  void whatIsClosedAfterSendingBeforeItIsConnectedStillArrives() throws Exception {
    ServerSocket server = rawServer();
    ControlLink link = channel(recorder).connect(addressOf(server));
    link.send(text("early"));
    link.closeAfterSending();

    Socket socket = accept(server);
    assertThat(readFrame(socket)).isEqualTo(text("early"));
    assertThat(socket.getInputStream().read()).isEqualTo(-1);
  }

  @Test
  void aPortThatNobodyListensOnClosesTheLinkWithTheCause() throws Exception {
    // Kept, so that nobody else, a channel of this test first of all, is given the port.
    Socket taken = opened.closing(new Socket());
    taken.bind(new InetSocketAddress(LOOPBACK, 0));
    InetSocketAddress nobody = new InetSocketAddress(LOOPBACK, taken.getLocalPort());

    ControlLink link = channel(recorder).connect(nobody);

    assertThat(recorder.next(link, "closed").cause())
        .isInstanceOf(ConnectException.class)
        .hasMessageContaining("refused");
    assertThat(link.send(text("x"))).isFalse();
    link.close();
    ControlChannel channel = channel(new Recorder());
    channel.connect(nobody);
    channel.close();
    recorder.assertNothingMore(link);
  }

  @Test
  void anAddressThatIsNoneClosesTheLinkWithTheCause() throws Exception {
    ControlLink link =
        channel(recorder).connect(InetSocketAddress.createUnresolved("nowhere.invalid", 1));

    assertThat(recorder.next(link, "closed").cause()).hasMessageContaining("nowhere.invalid");
  }

  @Test
  void outgoingLinksComeFromTheAddressThatIsListenedOn() throws Exception {
    InetAddress second = InetAddress.getByName("127.0.0.2");
    ControlChannel client = opened.closing(ControlChannel.open(second, 0, recorder));
    ServerSocket server = rawServer();

    client.connect(addressOf(server));

    assertThat(accept(server).getInetAddress()).isEqualTo(second);
  }

  @Test
  void aListenerOnLoopbackDoesNotKeepLinksFromOtherAddresses() throws Exception {
    InetAddress outer =
        NetworkInterface.networkInterfaces()
            .flatMap(NetworkInterface::inetAddresses)
            .filter(a -> a instanceof Inet4Address && !a.isLoopbackAddress())
            .findFirst()
            .orElse(null);
    assumeTrue(outer != null, "this machine has no address but loopback");
    ServerSocket server = opened.closing(new ServerSocket(0, 5, outer));

    ControlLink link = channel(recorder).connect(addressOf(server));

    recorder.next(link, "connected");
  }

  @Test
  void socketsHaveNoDelayAndKeepAlive() throws Exception {
    BlockingQueue<Boolean> options = new LinkedBlockingQueue<>();
    recorder.reaction =
        (link, event) -> {
          try {
            if (!event.what().equals("closed")) {
              options.add(link.socket.getOption(StandardSocketOptions.TCP_NODELAY));
              options.add(link.socket.getOption(StandardSocketOptions.SO_KEEPALIVE));
            }
          } catch (IOException e) {
            throw new AssertionError(e);
          }
        };
    ControlChannel channel = channel(recorder);
    channel.connect(channel.address());

    for (int i = 0; i < 4; i++) {
      assertThat(options.poll(WAIT_SECONDS, TimeUnit.SECONDS)).isTrue();
    }
  }

  @Test
  void theLongestFrameGoesThrough() throws Exception {
    recorder.reaction = ControlChannelTest::echo;
    ControlChannel server = channel(recorder);
    Recorder mine = new Recorder();
    ControlLink link = channel(mine).connect(server.address());
    byte[] payload = new byte[FrameAssembler.MAX_PAYLOAD_BYTES];
    new Random(SEED).nextBytes(payload);

    link.send(payload);

    mine.next(link, "connected");
    assertThat(Arrays.equals(mine.nextFrame(link), payload)).isTrue();
  }

  @ParameterizedTest
  @ValueSource(ints = {0, FrameAssembler.MAX_PAYLOAD_BYTES + 1})
  void aPayloadThatNoFrameCarriesIsRefused(int length) throws Exception {
    ControlLink link = channel(recorder).connect(addressOf(rawServer()));

    assertThatThrownBy(() -> link.send(new byte[length]))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(link.queuedBytes()).isZero();
  }

  @Test
  void manyThreadsMaySendOnOneLink() throws Exception {
    ServerSocket server = rawServer();
    ControlLink link = channel(recorder).connect(addressOf(server));
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 8; t++) {
      int id = t;
      Thread thread =
          new Thread(
              () -> {
                for (int i = 0; i < 500; i++) {
                  link.send(ByteBuffer.allocate(8 + 37 * id).putInt(id).putInt(i).array());
                }
              });
      thread.start();
      threads.add(thread);
    }
    int[] seen = new int[8];
    Socket socket = accept(server);
    for (int i = 0; i < 4000; i++) {
      byte[] payload = readFrame(socket);
      int id = ByteBuffer.wrap(payload).getInt();
      assertThat(payload).hasSize(8 + 37 * id);
      assertThat(ByteBuffer.wrap(payload).getInt(4)).as("order of one thread").isEqualTo(seen[id]);
      seen[id]++;
    }
    for (Thread thread : threads) {
      thread.join();
    }
    eventually("everything is sent", () -> link.queuedBytes() == 0);
  }

  // -- what peers do

  @Test
  void framesSplitByteByByteAndEmptyOnesAreUnderstood() throws Exception {
    Socket socket = rawClient(channel(recorder));
    socket.setTcpNoDelay(true);
    ControlLink link = recorder.nextAccepted();

    socket.getOutputStream().write(new byte[8]);
    for (byte b : frame(text("split"))) {
      socket.getOutputStream().write(b);
    }

    assertThat(recorder.nextFrame(link)).isEqualTo(text("split"));
  }

  @Test
  void aPeerThatDoesNotReadMeetsBackPressureAndHoldsUpNobody() throws Exception {
    ServerSocket server = rawServer();
    ControlChannel channel = channel(recorder);
    ControlLink slow = channel.connect(addressOf(server));
    Socket slowPeer = accept(server);
    byte[] payload = new byte[1 << 20];
    Arrays.fill(payload, (byte) 3);
    int count = 64;
    for (int i = 0; i < count; i++) {
      assertThat(slow.send(payload)).isTrue();
    }

    recorder.reaction = ControlChannelTest::echo;
    Socket quick = rawClient(channel);
    for (int i = 0; i < 100; i++) {
      quick.getOutputStream().write(frame(text("ping" + i)));
      assertThat(readFrame(quick)).isEqualTo(text("ping" + i));
    }
    assertThat(slow.queuedBytes()).isBetween(1L, (long) count * (4 + payload.length));

    for (int i = 0; i < count; i++) {
      assertThat(readFrame(slowPeer)).isEqualTo(payload);
    }
    eventually("everything is sent", () -> slow.queuedBytes() == 0);
    assertThat(slow.send(text("last"))).isTrue();
    assertThat(readFrame(slowPeer)).isEqualTo(text("last"));
  }

  @Test
  void aPeerThatFloodsHoldsUpNobody() throws Exception {
    recorder.reaction =
        (link, event) -> {
          if (event.what().equals("frame") && event.payload().length < 100) {
            link.send(event.payload());
          }
        };
    ControlChannel channel = channel(recorder);
    Socket flooding = rawClient(channel);
    CountDownLatch flowing = new CountDownLatch(1);
    AtomicBoolean stop = new AtomicBoolean();
    Thread flood =
        new Thread(
            () -> {
              byte[] frame = frame(new byte[1 << 20]);
              try {
                while (!stop.get()) {
                  flooding.getOutputStream().write(frame);
                  flowing.countDown();
                }
              } catch (IOException e) {
                throw new AssertionError(e);
              }
            });
    flood.start();
    assertThat(flowing.await(WAIT_SECONDS, TimeUnit.SECONDS)).isTrue();
    recorder.nextAccepted();
    BlockingQueue<Event> flooded = recorder.events.values().iterator().next();

    Socket quick = rawClient(channel);
    for (int i = 0; i < 200; i++) {
      quick.getOutputStream().write(frame(text("ping" + i)));
      assertThat(readFrame(quick)).isEqualTo(text("ping" + i));
      flooded.clear();
    }
    stop.set(true);
    flood.join();
  }

  @Test
  void aPeerThatClosesIsSaidToHaveClosed() throws Exception {
    Socket socket = rawClient(channel(recorder));
    ControlLink link = recorder.nextAccepted();
    socket.getOutputStream().write(frame(text("bye")));
    socket.close();

    assertThat(recorder.nextFrame(link)).isEqualTo(text("bye"));
    assertThat(recorder.next(link, "closed").cause())
        .isInstanceOf(EOFException.class)
        .hasMessage("the peer closed the connection");
    assertThat(link.send(text("x"))).isFalse();
  }

  @Test
  void aPeerThatClosesInTheMiddleOfAFrameIsSaidToHaveDoneSo() throws Exception {
    Socket socket = rawClient(channel(recorder));
    ControlLink link = recorder.nextAccepted();
    socket.getOutputStream().write(Arrays.copyOf(frame(new byte[100]), 14));
    socket.close();

    assertThat(recorder.next(link, "closed").cause())
        .isInstanceOf(EOFException.class)
        .hasMessageContaining("10 of its 100 bytes");
  }

  @Test
  void aPeerThatResetsClosesItsLinkWithTheCause() throws Exception {
    Socket socket = rawClient(channel(recorder));
    ControlLink link = recorder.nextAccepted();
    socket.setSoLinger(true, 0);
    socket.close();

    assertThat(recorder.next(link, "closed").cause()).hasMessageContaining("reset");
  }

  @Test
  void whatAPeerSaidBeforeItWentIsHeardEvenByALinkThatCannotSendAnyMore() throws Exception {
    ServerSocket server = rawServer();
    ControlChannel channel = channel(recorder);
    for (int i = 0; i < 20; i++) {
      ControlLink link = channel.connect(addressOf(server));
      recorder.next(link, "connected");
      link.send(new byte[8 << 20]);
      Socket socket = accept(server);
      assertThat(socket.getInputStream().read()).isZero();
      socket.getOutputStream().write(frame(text("the reason")));
      // With bytes unread this resets the connection.
      socket.close();

      assertThat(recorder.nextFrame(link)).isEqualTo(text("the reason"));
      assertThat(recorder.next(link, "closed").cause()).isNotNull();
    }
  }

  @Test
  void anotherProtocolClosesOnlyItsOwnLink() throws Exception {
    recorder.reaction = ControlChannelTest::echo;
    ControlChannel channel = channel(recorder);
    Socket good = rawClient(channel);
    ControlLink goodLink = recorder.nextAccepted();
    Socket bad = rawClient(channel);
    ControlLink badLink = recorder.nextAccepted();

    bad.getOutputStream().write(text("GET / HTTP/1.1\r\n\r\n"));

    assertThat(recorder.next(badLink, "closed").cause())
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("\"GET \"");
    good.getOutputStream().write(frame(text("still here")));
    assertThat(readFrame(good)).isEqualTo(text("still here"));
    assertThat(recorder.nextFrame(goodLink)).isEqualTo(text("still here"));
    recorder.assertNothingMore(goodLink);
  }

  @Test
  void garbageOfAnyKindLeavesAGoodPeerAlone() throws Exception {
    int magic = 0x43584950;
    recorder.reaction =
        (link, event) -> {
          if (event.what().equals("frame")) {
            ByteBuffer payload = ByteBuffer.wrap(event.payload());
            if (ControlCodec.kind(payload, magic) == ControlCodec.FrameKind.UNKNOWN) {
              link.close();
            } else {
              link.send(event.payload());
            }
          }
        };
    ControlChannel channel = channel(recorder);
    Socket good = rawClient(channel);
    ControlLink goodLink = recorder.nextAccepted();
    byte[] handshake = new Handshake(magic, 0, 1, new byte[8]).encode();
    for (int round = 0; round < 300; round++) {
      Random random = new Random(SEED + round);
      byte[] garbage = Mutations.mutate(random, frame(handshake));
      try (Socket bad = new Socket()) {
        bad.connect(channel.address());
        bad.getOutputStream().write(garbage);
      }
      ControlLink badLink = recorder.nextAccepted();
      good.getOutputStream().write(frame(handshake));
      assertThat(readFrame(good)).as("seed %d", SEED + round).isEqualTo(handshake);
      BlockingQueue<Event> events = recorder.of(badLink);
      Event last;
      do {
        last = events.poll(WAIT_SECONDS, TimeUnit.SECONDS);
        assertThat(last).as("seed %d", SEED + round).isNotNull();
      } while (!last.what().equals("closed"));
      assertThat(recorder.nextFrame(goodLink)).as("seed %d", SEED + round).isEqualTo(handshake);
    }
    recorder.assertNothingMore(goodLink);
  }

  // -- closing a link

  @Test
  void closingALinkIsToldOnceAndTheSocketIsClosed() throws Exception {
    Socket socket = rawClient(channel(recorder));
    ControlLink link = recorder.nextAccepted();

    link.close();
    link.close();
    link.closeAfterSending();

    assertThat(recorder.next(link, "closed").cause()).isNull();
    assertThat(link.send(text("x"))).isFalse();
    assertThat(link.queuedBytes()).isZero();
    assertThat(socket.getInputStream().read()).isEqualTo(-1);
    recorder.assertNothingMore(link);
  }

  @Test
  void noFrameIsDeliveredOnceTheListenerClosedTheLink() throws Exception {
    recorder.reaction =
        (link, event) -> {
          if (event.what().equals("frame")) {
            link.close();
          }
        };
    Socket socket = rawClient(channel(recorder));
    ControlLink link = recorder.nextAccepted();
    ByteBuffer many = ByteBuffer.allocate(1000 * 5);
    for (int i = 0; i < 1000; i++) {
      many.put(frame(new byte[] {(byte) i}));
    }
    socket.getOutputStream().write(many.array());

    assertThat(recorder.nextFrame(link)).containsExactly(0);
    recorder.next(link, "closed");
    recorder.assertNothingMore(link);
  }

  @ParameterizedTest
  @ValueSource(ints = {1000, 4 << 20})
  void whatWasQueuedBeforeCloseAfterSendingIsReadByAPeerThatIsStillSending(int length)
      throws Exception {
    byte[] answer = new byte[length];
    Arrays.fill(answer, (byte) 9);
    recorder.reaction =
        (link, event) -> {
          if (event.what().equals("frame")) {
            link.send(answer);
            link.closeAfterSending();
          }
        };
    Socket socket = rawClient(channel(recorder));
    ControlLink link = recorder.nextAccepted();
    // Had the link been closed with these unread, the peer would read a reset in place of the end.
    for (int i = 0; i < 200; i++) {
      socket.getOutputStream().write(frame(new byte[10_000]));
    }

    assertThat(Arrays.equals(readFrame(socket), answer)).isTrue();
    assertThat(socket.getInputStream().read()).isEqualTo(-1);
    socket.close();
    recorder.next(link, "frame");
    assertThat(recorder.next(link, "closed").cause()).isNull();
    recorder.assertNothingMore(link);
  }

  @Test
  void aPeerThatReadsButDoesNotCloseDoesNotKeepALinkOpen() throws Exception {
    Socket socket = rawClient(channel(recorder));
    ControlLink link = recorder.nextAccepted();
    link.send(text("last"));
    link.closeAfterSending();

    assertThat(link.send(text("too late"))).isFalse();
    assertThat(recorder.next(link, "closed").cause()).isNull();
    assertThat(readFrame(socket)).isEqualTo(text("last"));
  }

  @Test
  void aPeerThatDoesNotReadDoesNotKeepALinkOpen() throws Exception {
    rawClient(channel(recorder));
    ControlLink link = recorder.nextAccepted();
    for (int i = 0; i < 4; i++) {
      link.send(new byte[16 << 20]);
    }
    link.closeAfterSending();

    assertThat(recorder.next(link, "closed").cause()).hasMessageContaining("did not take the last");
    assertThat(link.queuedBytes()).isZero();
  }

  // -- a listener that fails

  @ParameterizedTest
  @ValueSource(strings = {"accepted", "frame", "closed"})
  void aListenerThatThrowsLosesOnlyThatLink(String when) throws Exception {
    AtomicReference<ControlLink> victim = new AtomicReference<>();
    ControlChannel channel = channel(recorder);
    Socket good = rawClient(channel);
    ControlLink goodLink = recorder.nextAccepted();
    RuntimeException failure = new IllegalStateException("planted");
    recorder.reaction =
        (link, event) -> {
          if (link != goodLink && event.what().equals(when) && victim.getAndSet(link) == null) {
            throw failure;
          }
          echo(link, event);
        };

    Socket bad = rawClient(channel);
    ControlLink badLink = recorder.nextAccepted();
    bad.getOutputStream().write(frame(text("hello")));
    bad.shutdownOutput();
    if (!when.equals("accepted")) {
      recorder.nextFrame(badLink);
    }
    Event closed = recorder.next(badLink, "closed");
    if (!when.equals("closed")) {
      assertThat(closed.cause()).hasCause(failure);
    }
    good.getOutputStream().write(frame(text("still here")));
    assertThat(readFrame(good)).isEqualTo(text("still here"));
    assertThat(victim.get()).isSameAs(badLink);
    recorder.assertNothingMore(badLink);
  }

  @Test
  void aListenerThatThrowsWhenConnectedLosesThatLink() throws Exception {
    Error failure = new AssertionError("planted");
    recorder.reaction =
        (link, event) -> {
          if (event.what().equals("connected")) {
            throw failure;
          }
        };
    ControlChannel channel = channel(recorder);
    ServerSocket server = rawServer();

    for (int i = 0; i < 2; i++) {
      ControlLink link = channel.connect(addressOf(server));
      recorder.next(link, "connected");
      assertThat(recorder.next(link, "closed").cause()).hasCause(failure);
    }
  }

  @Test
  void aListenerThatInterruptsItsThreadBreaksNothing() throws Exception {
    recorder.reaction =
        (link, event) -> {
          Thread.currentThread().interrupt();
          echo(link, event);
        };
    Socket socket = rawClient(channel(recorder));
    for (int i = 0; i < 20; i++) {
      socket.getOutputStream().write(frame(text("x" + i)));
      assertThat(readFrame(socket)).isEqualTo(text("x" + i));
    }
  }

  @Test
  void theListenerMayAttachSomething() throws Exception {
    BlockingQueue<Object> attached = new LinkedBlockingQueue<>();
    recorder.reaction =
        (link, event) -> {
          if (event.what().equals("accepted")) {
            assertThat(link.attachment()).isNull();
            link.attach("mine");
          } else {
            attached.add(link.attachment());
          }
        };
    rawClient(channel(recorder)).close();

    assertThat(attached.poll(WAIT_SECONDS, TimeUnit.SECONDS)).isEqualTo("mine");
  }

  // -- accepting when there are no descriptors

  @Test
  void whenAcceptingFailsItPausesAndDoesNotSpin() throws Exception {
    AtomicInteger attempts = new AtomicInteger();
    CountDownLatch failed = new CountDownLatch(1);
    AtomicBoolean full = new AtomicBoolean();
    ControlChannel.Acceptor acceptor =
        server -> {
          attempts.incrementAndGet();
          if (full.get()) {
            failed.countDown();
            throw new IOException("Too many open files");
          }
          return server.accept();
        };
    ControlChannel channel = opened.closing(ControlChannel.open(LOOPBACK, 0, recorder, acceptor));
    recorder.reaction = ControlChannelTest::echo;
    Socket first = rawClient(channel);
    ControlLink firstLink = recorder.nextAccepted();
    full.set(true);
    rawClient(channel);
    assertThat(failed.await(WAIT_SECONDS, TimeUnit.SECONDS)).isTrue();

    // Others are served meanwhile, and each of these rounds would be an attempt without the pause.
    int before = attempts.get();
    long start = System.nanoTime();
    for (int i = 0; i < 300; i++) {
      first.getOutputStream().write(frame(text("x" + i)));
      assertThat(readFrame(first)).isEqualTo(text("x" + i));
      recorder.nextFrame(firstLink);
    }
    long seconds = TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - start);
    assertThat(attempts.get() - before)
        .isLessThanOrEqualTo((int) (seconds / ControlChannel.ACCEPT_PAUSE_SECONDS) + 1);

    // Room is made: the one that waited is taken at once.
    full.set(false);
    firstLink.close();
    recorder.next(firstLink, "closed");
    recorder.nextAccepted();
  }

  @Test
  void afterAPauseAcceptingIsTriedAgain() throws Exception {
    AtomicInteger attempts = new AtomicInteger();
    ControlChannel.Acceptor acceptor =
        server -> {
          if (attempts.incrementAndGet() <= 2) {
            throw new IOException("Too many open files");
          }
          return server.accept();
        };
    ControlChannel channel = opened.closing(ControlChannel.open(LOOPBACK, 0, recorder, acceptor));
    long start = System.nanoTime();
    rawClient(channel);

    recorder.nextAccepted();
    assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.SECONDS.toNanos(2));
  }

  // -- opening and closing

  @Test
  void aPortInUseIsNamedAndSoIsTheVariableThatSetsIt() throws Exception {
    int port = channel(recorder).address().getPort();

    assertThatThrownBy(() -> ControlChannel.open(LOOPBACK, port, recorder))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining(":" + port)
        .hasMessageContaining("in use")
        .hasMessageContaining("UCCL_P2P_CONTROL_PORT");
  }

  @Test
  void anAddressThatIsNotOursIsNamedAndSoIsTheVariableThatSetsIt() throws Exception {
    InetAddress documentation = InetAddress.getByName("192.0.2.1");

    assertThatThrownBy(() -> ControlChannel.open(documentation, 0, recorder))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining("192.0.2.1")
        .hasMessageContaining("UCCL_SOCKET_IFNAME");
  }

  @Test
  void aPortMayBeListenedOnAgainAtOnce() throws Exception {
    ControlChannel first = channel(recorder);
    ControlLink link = first.connect(first.address());
    recorder.next(link, "connected");
    int port = first.address().getPort();
    first.close();

    ControlChannel second = opened.closing(ControlChannel.open(LOOPBACK, port, recorder));
    assertThat(second.address().getPort()).isEqualTo(port);
  }

  @Test
  void closingClosesEveryLinkOnceAndLeavesNoThread() throws Exception {
    ControlChannel channel = channel(recorder);
    ServerSocket server = rawServer();
    List<ControlLink> links = new ArrayList<>();
    List<Socket> peers = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      peers.add(rawClient(channel));
      links.add(recorder.nextAccepted());
      ControlLink out = channel.connect(addressOf(server));
      recorder.next(out, "connected");
      links.add(out);
      peers.add(accept(server));
    }
    // One that is half way through a frame, and one that has more queued than the kernel takes.
    peers.get(0).getOutputStream().write(Arrays.copyOf(frame(new byte[100]), 50));
    for (int i = 0; i < 4; i++) {
      links.get(1).send(new byte[16 << 20]);
    }
    assertThat(controlThreads(channel)).hasSize(1).allMatch(Thread::isDaemon);

    long start = System.nanoTime();
    channel.close();
    assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(5));

    for (ControlLink link : links) {
      assertThat(recorder.next(link, "closed").cause()).isNull();
      recorder.assertNothingMore(link);
      assertThat(link.send(text("x"))).isFalse();
      assertThat(link.queuedBytes()).isZero();
    }
    assertThat(controlThreads(channel)).isEmpty();
    assertThatThrownBy(() -> new Socket(LOOPBACK, channel.address().getPort()))
        .isInstanceOf(ConnectException.class);
    channel.close();
  }

  @Test
  void whatTheKernelTakesAtOnceIsStillSentWhenClosing() throws Exception {
    ServerSocket server = rawServer();
    ControlChannel channel = channel(recorder);
    ControlLink link = channel.connect(addressOf(server));
    recorder.next(link, "connected");
    link.send(text("last words"));
    channel.close();

    assertThat(readFrame(accept(server))).isEqualTo(text("last words"));
  }

  @Test
  void closingWhileOthersConnectTellsOfEveryLinkOnce() throws Exception {
    for (int round = 0; round < 50; round++) {
      Recorder fresh = new Recorder();
      ControlChannel channel = ControlChannel.open(LOOPBACK, 0, fresh);
      InetSocketAddress target = addressOf(rawServer());
      List<ControlLink> links = new ArrayList<>();
      CountDownLatch some = new CountDownLatch(5);
      Thread connecting =
          new Thread(
              () -> {
                try {
                  while (links.size() < 10_000) {
                    links.add(channel.connect(target));
                    some.countDown();
                  }
                } catch (ResourceClosedException e) {
                  // As it should be, sooner or later.
                }
              });
      connecting.start();
      assertThat(some.await(WAIT_SECONDS, TimeUnit.SECONDS)).isTrue();
      channel.close();
      connecting.join();
      for (ControlLink link : links) {
        assertThat(fresh.of(link).stream().filter(event -> event.what().equals("closed")))
            .hasSize(1);
      }
    }
  }

  @Test
  void afterClosingNothingCanBeConnected() throws Exception {
    ControlChannel channel = channel(recorder);
    channel.close();

    assertThatThrownBy(() -> channel.connect(channel.address()))
        .isInstanceOf(ResourceClosedException.class);
  }

  @Test
  void anInterruptDoesNotKeepCloseFromClosingAndIsKept() throws Exception {
    ControlChannel channel = channel(recorder);
    Thread.currentThread().interrupt();
    channel.close();

    assertThat(Thread.interrupted()).isTrue();
    assertThat(controlThreads(channel)).isEmpty();
  }

  @Test
  void theListenerCannotCloseTheChannelItself() throws Exception {
    BlockingQueue<Throwable> thrown = new LinkedBlockingQueue<>();
    AtomicReference<ControlChannel> channel = new AtomicReference<>();
    recorder.reaction =
        (link, event) -> {
          try {
            channel.get().close();
          } catch (IllegalStateException e) {
            thrown.add(e);
          }
        };
    channel.set(channel(recorder));
    rawClient(channel.get());

    assertThat(thrown.poll(WAIT_SECONDS, TimeUnit.SECONDS)).hasMessageContaining("own thread");
  }

  @Test
  void twoChannelsInOneProcessShareNothing() throws Exception {
    Recorder other = new Recorder();
    ControlChannel one = channel(recorder);
    ControlChannel two = channel(other);
    ControlLink link = one.connect(two.address());
    recorder.next(link, "connected");
    ControlLink in = other.nextAccepted();

    two.close();

    assertThat(other.next(in, "closed").cause()).isNull();
    assertThat(recorder.next(link, "closed").cause()).isInstanceOf(EOFException.class);
    assertThat(controlThreads(one)).hasSize(1);
    try (Socket socket = rawClient(one)) {
      new DataOutputStream(socket.getOutputStream()).writeInt(0);
      assertThat(recorder.nextAccepted().outgoing()).isFalse();
    }
  }
}
