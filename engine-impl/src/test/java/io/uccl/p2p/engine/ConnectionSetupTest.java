package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.UnixOperatingSystemMXBean;
import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerUnreachableException;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Field;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Connections that come about or do not, with plain sockets as the other side. */
@Timeout(120)
class ConnectionSetupTest {

  private static final Duration WAIT = Duration.ofSeconds(30);

  /** One more than a stranger may send. */
  private static final byte[] EMPTY_FRAMES = new byte[4 * (FrameAssembler.MOST_EMPTY_FRAMES + 1)];

  private DefaultP2pEngine engine;
  private FakePeer peer;

  @BeforeEach
  void open() throws IOException {
    engine =
        DefaultP2pEngine.open(
            EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp"));
    peer = new FakePeer();
  }

  @AfterEach
  void close() throws IOException {
    until("empty books", () -> booksAreEmpty(engine));
    long start = System.nanoTime();
    engine.close();
    assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(1));
    peer.close();
    until("no thread", () -> Leftovers.threads().isEmpty());
  }

  /** Nothing is left of any connection, in the engine and in its transport. */
  static boolean booksAreEmpty(DefaultP2pEngine engine) {
    return engine
        .loop()
        .<Boolean>call(
            () -> {
              Object transport = field(engine, "transport");
              return ((Collection<?>) field(engine, "setups")).isEmpty()
                  && ((IncomingSetups) field(engine, "incoming")).size() == 0
                  && ((Map<?, ?>) field(engine, "byChannel")).isEmpty()
                  && ((Collection<?>) field(engine, "connections")).isEmpty()
                  && ((Collection<?>) field(transport, "channels")).isEmpty()
                  && ((Map<?, ?>) field(transport, "expected")).isEmpty();
            });
  }

  private static Object field(Object object, String name) {
    try {
      Field field = object.getClass().getDeclaredField(name);
      field.setAccessible(true);
      return field.get(object);
    } catch (ReflectiveOperationException e) {
      throw new LinkageError(e.getMessage(), e);
    }
  }

  private record Answer(
      FakePeer.Script script, Class<? extends P2pException> failure, String says) {}

  private static byte[] changed(byte[] good, int at, int value) {
    ByteBuffer.wrap(good).order(ByteOrder.LITTLE_ENDIAN).putInt(at, value);
    return good;
  }

  private static Map<String, Answer> answers() {
    Map<String, Answer> all = new LinkedHashMap<>();
    Class<HandshakeException> handshake = HandshakeException.class;
    Class<PeerUnreachableException> unreachable = PeerUnreachableException.class;
    all.put("closes at once", new Answer((p, s) -> s.close(), unreachable, "no connection came"));
    all.put(
        "speaks HTTP",
        new Answer(
            (p, s) ->
                s.getOutputStream()
                    .write("HTTP/1.1 400 Bad Request\r\n\r\n".getBytes(StandardCharsets.US_ASCII)),
            unreachable,
            "speaks another protocol"));
    all.put(
        "sends zeros",
        new Answer(
            (p, s) -> s.getOutputStream().write(EMPTY_FRAMES),
            unreachable,
            "sends empty frames and no handshake"));
    all.put(
        "another transport",
        frame((p, h) -> changed(h, 0, 0x50495843), handshake, "a handshake of transport tcp"));
    all.put("another version", frame((p, h) -> changed(h, 4, 2), handshake, "version 2"));
    all.put("ready early", frame((p, h) -> ControlCodec.encodeReady(), handshake, "READY"));
    all.put(
        "refuses",
        frame((p, h) -> ControlCodec.encodeRefused("not today"), handshake, "not today"));
    all.put(
        "no trailer", frame((p, h) -> p.handshake(p.parameters(), false), handshake, "no trailer"));
    all.put(
        "no parameters",
        frame((p, h) -> p.handshake(new byte[0], true), handshake, "parameters make no sense"));
    all.put(
        "other parameters",
        frame((p, h) -> p.handshake(new byte[16], true), handshake, "parameters make no sense"));
    all.put("one byte", frame((p, h) -> new byte[1], handshake, "the frame that came has 1"));
    all.put(
        "echoes",
        new Answer(
            (p, s) -> FakePeer.writeFrame(s, FakePeer.readFrame(s)), handshake, "that echoes"));
    all.put(
        "half a handshake",
        new Answer(
            (p, s) -> {
              FakePeer.readFrame(s);
              s.getOutputStream().write(new byte[] {0, 0, 0, 100, 1, 2, 3});
              s.close();
            },
            unreachable,
            "in the middle of a frame"));
    all.put(
        "two handshakes",
        new Answer(
            (p, s) -> {
              FakePeer.readFrame(s);
              FakePeer.writeFrame(s, p.handshake());
              FakePeer.writeFrame(s, p.handshake());
            },
            handshake,
            "second handshake"));
    all.put(
        "closes before the data connection is greeted",
        new Answer(
            (p, s) -> {
              FakePeer.readFrame(s);
              FakePeer.writeFrame(s, p.handshake());
              p.data.accept().close();
              p.keep(s);
            },
            unreachable,
            "data connection could not be made"));
    all.put(
        "greets as another",
        new Answer(
            (p, s) -> {
              FakePeer.readFrame(s);
              FakePeer.writeFrame(s, p.handshake());
              Socket data = p.data.accept();
              p.keep(data);
              data.getOutputStream().write(FakePeer.greeting(2, 1, 2));
            },
            unreachable,
            "greeting that is none"));
    all.put(
        "no data listener",
        new Answer(
            (p, s) -> {
              p.data.close();
              FakePeer.readFrame(s);
              FakePeer.writeFrame(s, p.handshake());
            },
            unreachable,
            "data connection could not be made"));
    return all;
  }

  private interface Mutation {
    byte[] of(FakePeer peer, byte[] handshake);
  }

  private static Answer frame(
      Mutation mutation, Class<? extends P2pException> failure, String says) {
    return new Answer(
        (p, s) -> {
          FakePeer.readFrame(s);
          FakePeer.writeFrame(s, mutation.of(p, p.handshake()));
        },
        failure,
        says);
  }

  static Stream<String> answerNames() {
    return answers().keySet().stream();
  }

  @ParameterizedTest
  @MethodSource("answerNames")
  void connectSaysInOneLineWhatIsWrongWithTheAnswer(String name) {
    Answer answer = answers().get(name);
    peer.serve(answer.script());
    assertThatThrownBy(() -> engine.connect(peer.metadata(), WAIT))
        .isInstanceOf(answer.failure())
        .hasMessageContaining(answer.says())
        .hasMessageNotContaining("\n")
        .isInstanceOfSatisfying(
            P2pException.class, e -> assertThat(e.detail().peer()).contains("127.0.0.1"));
  }

  @Test
  void silenceEndsConnectAtItsDeadline() {
    peer.serve((p, s) -> p.keep(s));
    long start = System.nanoTime();
    assertThatThrownBy(() -> engine.connect(peer.metadata(), Duration.ofMillis(200)))
        .isInstanceOf(PeerUnreachableException.class)
        .hasMessageContaining("no connection came about in time")
        .hasMessageContaining(peer.metadata().toString());
    long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
    assertThat(millis).isBetween(200L, 1500L);
  }

  @Test
  void anInterruptTakesTheAttemptBack() {
    peer.serve((p, s) -> p.keep(s));
    Thread.currentThread().interrupt();
    assertThatThrownBy(() -> engine.connect(peer.metadata(), WAIT))
        .isInstanceOf(InterruptedException.class);
    assertThat(Thread.interrupted()).isFalse();
  }

  @Test
  void anEngineDoesNotConnectToItself() {
    assertThatThrownBy(() -> engine.connect(engine.metadata(), WAIT))
        .isInstanceOf(HandshakeException.class)
        .hasMessageContaining("this engine itself");
  }

  @Test
  void nobodyListens() throws IOException {
    peer.control.close();
    assertThatThrownBy(() -> engine.connect(peer.metadata(), WAIT))
        .isInstanceOf(PeerUnreachableException.class)
        .hasMessageContaining("refused")
        .hasMessageContaining("Check that the peer runs");
  }

  @Test
  void aPeerThatKeepsTheProtocolIsConnectedBothWays() throws IOException, InterruptedException {
    peer.serve(FakePeer::acceptAndFreeze);
    Connection outgoing = engine.connect(peer.metadata(), WAIT);
    assertThat(peer.failure.get()).isNull();
    assertThat(outgoing.isOpen()).isTrue();
    Socket control = peer.connect(engine.metadata());
    FakePeer.writeFrame(control, peer.handshake());
    Socket data = peer.connectData(FakePeer.readFrame(control));
    assertThat(engine.accept(Duration.ZERO)).as("not before READY").isNull();
    FakePeer.writeFrame(control, ControlCodec.encodeReady());
    Connection incoming = engine.accept(WAIT);
    assertThat(incoming).isNotNull();
    assertThat(incoming.remote()).isEqualTo(peer.metadata());
    FakePeer.writeFrame(control, ControlCodec.encode(Notification.of("n", new byte[3])));
    assertThat(engine.takeNotification(WAIT).from()).isSameAs(incoming);
    data.close();
    until("the end", () -> !incoming.isOpen());
    assertThat(incoming.failure()).isInstanceOf(PeerLostException.class);
    peer.close();
    until("the end", () -> !outgoing.isOpen());
    assertThat(outgoing.failure()).isInstanceOf(PeerLostException.class);
  }

  @Test
  void emptyFramesAfterTheHandshakeAreSkipped() throws IOException, InterruptedException {
    Socket control = peer.connect(engine.metadata());
    FakePeer.writeFrame(control, peer.handshake());
    control.getOutputStream().write(EMPTY_FRAMES);
    peer.connectData(FakePeer.readFrame(control));
    FakePeer.writeFrame(control, ControlCodec.encodeReady());
    assertThat(engine.accept(WAIT)).isNotNull();
    control.close();
  }

  @Test
  void readyTwiceEndsTheConnection() throws IOException, InterruptedException {
    Socket control = peer.connect(engine.metadata());
    FakePeer.writeFrame(control, peer.handshake());
    peer.connectData(FakePeer.readFrame(control));
    FakePeer.writeFrame(control, ControlCodec.encodeReady());
    Connection incoming = engine.accept(WAIT);
    FakePeer.writeFrame(control, ControlCodec.encodeReady());
    until("the end", () -> !incoming.isOpen());
    assertThat(incoming.failure()).hasMessageContaining("READY where none is due");
  }

  private record Attempt(FakePeer.Script script, String refusal) {}

  private static Map<String, Attempt> attempts() {
    Map<String, Attempt> all = new LinkedHashMap<>();
    all.put("closes at once", new Attempt((p, s) -> s.close(), ""));
    all.put("sends zeros", new Attempt((p, s) -> s.getOutputStream().write(EMPTY_FRAMES), ""));
    all.put("ready first", new Attempt(send(p -> ControlCodec.encodeReady()), ""));
    all.put(
        "another version", new Attempt(send(p -> changed(p.handshake(), 4, 3)), "has version 3"));
    all.put(
        "another transport",
        new Attempt(send(p -> changed(p.handshake(), 0, 0x50495843)), "of transport tcp"));
    all.put(
        "other parameters",
        new Attempt(send(p -> p.handshake(new byte[16], true)), "parameters make no sense"));
    all.put("no trailer", new Attempt(send(p -> p.handshake(p.parameters(), false)), ""));
    all.put(
        "two handshakes",
        new Attempt(
            (p, s) -> {
              FakePeer.writeFrame(s, p.handshake());
              FakePeer.readFrame(s);
              FakePeer.writeFrame(s, p.handshake());
            },
            "second handshake"));
    all.put(
        "closes after the handshake",
        new Attempt(
            (p, s) -> {
              FakePeer.writeFrame(s, p.handshake());
              FakePeer.readFrame(s);
              s.close();
            },
            ""));
    all.put(
        "closes the data connection before READY",
        new Attempt(
            (p, s) -> {
              FakePeer.writeFrame(s, p.handshake());
              p.connectData(FakePeer.readFrame(s)).close();
            },
            "the data connection broke"));
    all.put(
        "half a handshake",
        new Attempt(
            (p, s) -> {
              s.getOutputStream().write(new byte[] {0, 0, 0, 100, 1});
              s.close();
            },
            ""));
    return all;
  }

  private interface Payload {
    byte[] of(FakePeer peer);
  }

  private static FakePeer.Script send(Payload payload) {
    return (p, s) -> FakePeer.writeFrame(s, payload.of(p));
  }

  static Stream<String> attemptNames() {
    return attempts().keySet().stream();
  }

  @ParameterizedTest
  @MethodSource("attemptNames")
  void anAttemptThatGoesWrongIsRefusedAndForgotten(String name)
      throws IOException, InterruptedException {
    Attempt attempt = attempts().get(name);
    Socket control = peer.connect(engine.metadata());
    attempt.script().run(peer, control);
    if (!attempt.refusal().isEmpty()) {
      byte[] refused = FakePeer.readFrame(control);
      assertThat(ControlCodec.decodeRefused(ByteBuffer.wrap(refused))).contains(attempt.refusal());
    }
    if (!control.isClosed()) {
      assertThat(control.getInputStream().read()).as("closed by the engine").isEqualTo(-1);
    }
    until("empty books", () -> booksAreEmpty(engine));
    assertThat(engine.accept(Duration.ZERO)).isNull();
  }

  @Test
  void whoDoesNotFinishItsHandshakeIsEndedAfterTenSeconds() throws IOException {
    boolean secondPass =
        System.getProperty("p2p.pass", "").equals("25") && System.getProperty("p2p.jdk25") != null;
    assumeFalse(secondPass, "the first pass has waited the ten seconds");
    long start = System.nanoTime();
    Socket silent = peer.connect(engine.metadata());
    Socket slow = peer.connect(engine.metadata());
    slow.getOutputStream().write(new byte[] {0, 0, 0, 100, 1});
    Socket halfway = peer.connect(engine.metadata());
    FakePeer.writeFrame(halfway, peer.handshake());
    FakePeer.readFrame(halfway);

    assertThat(silent.getInputStream().read()).as("ended by the engine").isEqualTo(-1);
    assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.SECONDS.toNanos(10));
    assertThat(slow.getInputStream().read()).as("ended by the engine").isEqualTo(-1);
    byte[] refused = FakePeer.readFrame(halfway);
    assertThat(ControlCodec.decodeRefused(ByteBuffer.wrap(refused)))
        .contains("did not finish its handshake in time");
    assertThat(halfway.getInputStream().read()).as("ended by the engine").isEqualTo(-1);
  }

  @Test
  void ofTooManyWithoutAHandshakeTheOldestAreEndedAndAnHonestPeerConnects() throws Exception {
    int ended = 75;
    int count = IncomingSetups.MOST + ended;
    // Both ends of each are in this process.
    assumeTrue(
        descriptorLimit() > 2L * count + 500, "the process may not open so many descriptors");
    List<Socket> silent = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      silent.add(peer.connect(engine.metadata()));
    }
    for (Socket oldest : silent.subList(0, ended)) {
      assertThat(oldest.getInputStream().read()).as("ended by the engine").isEqualTo(-1);
    }
    assertThat(unfinished()).isEqualTo(IncomingSetups.MOST);

    Socket control = peer.connect(engine.metadata());
    FakePeer.writeFrame(control, peer.handshake());
    peer.connectData(FakePeer.readFrame(control));
    FakePeer.writeFrame(control, ControlCodec.encodeReady());
    assertThat(engine.accept(WAIT)).isNotNull();
    assertThat(silent.get(ended).getInputStream().read()).as("made room for it").isEqualTo(-1);
    assertThat(unfinished()).as("a connection is not counted").isEqualTo(IncomingSetups.MOST - 1);
    peer.close();
  }

  private int unfinished() {
    return engine.loop().<Integer>call(() -> ((IncomingSetups) field(engine, "incoming")).size());
  }

  static long descriptorLimit() {
    return ((UnixOperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getMaxFileDescriptorCount();
  }

  @Test
  void anEngineClosesInTheMiddleOfAnyHandshake() throws IOException {
    int descriptors = Leftovers.descriptors();
    for (int step = 0; step < 4; step++) {
      DefaultP2pEngine closing =
          DefaultP2pEngine.open(
              EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp"));
      Socket control = peer.connect(closing.metadata());
      if (step > 0) {
        FakePeer.writeFrame(control, peer.handshake());
      }
      if (step > 1) {
        byte[] answer = FakePeer.readFrame(control);
        if (step > 2) {
          peer.connectData(answer);
        }
      }
      long start = System.nanoTime();
      closing.close();
      assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(1));
    }
    peer.close();
    until("no descriptor", () -> Leftovers.descriptors() <= descriptors);
  }

  @Test
  void damagedFramesCostTheirLinkOnly() throws IOException, InterruptedException {
    long seed = Long.getLong("p2p.seed", System.nanoTime());
    Random random = new Random(seed);
    for (int i = 0; i < 500; i++) {
      byte[] good =
          switch (random.nextInt(4)) {
            case 0 -> ControlCodec.encodeReady();
            case 1 -> ControlCodec.encodeRefused("no");
            case 2 -> ControlCodec.encode(Notification.of("name", new byte[5]));
            default -> peer.handshake();
          };
      try (Socket control = new Socket()) {
        control.connect(engine.metadata().socketAddress());
        FakePeer.writeFrame(control, peer.handshake());
        FakePeer.writeFrame(control, Mutations.mutate(random, good));
      } catch (IOException e) {
        // The engine was faster.
        assertThat(e).as("seed %d", seed).hasMessageMatching(".*(reset|pipe|aborted).*");
      }
      while (engine.pollNotification() != null) {
        assertThat(i).isNotNegative();
      }
    }
    until("empty books, seed " + seed, () -> booksAreEmpty(engine));
    assertThat(engine.loop().<Boolean>call(() -> true)).isTrue();
    engine.register(ByteBuffer.allocateDirect(64)).close();
  }

  @Test
  void aPeerThatGivesUpWhenThisSideIsReadyAlreadyIsLost() throws Exception {
    peer.serve(
        (acceptor, control) -> {
          FakePeer.acceptAndFreeze(acceptor, control);
          assertThat(FakePeer.readFrame(control)).isEqualTo(ControlCodec.encodeReady());
          FakePeer.writeFrame(control, ControlCodec.encodeRefused("it closes"));
        });
    Connection connection = engine.connect(peer.metadata(), WAIT);
    BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
    connection.onClosed(ends::add);
    assertThat(ends.poll(30, TimeUnit.SECONDS))
        .isInstanceOf(PeerLostException.class)
        .hasMessageContaining("the peer ended the connection: it closes");
  }
}
