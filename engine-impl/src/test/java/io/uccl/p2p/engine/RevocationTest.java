package io.uccl.p2p.engine;

import static io.uccl.p2p.engine.Leftovers.until;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import java.io.IOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What engines tell each other of regions that are closed. */
@Timeout(120)
class RevocationTest {

  private static final Duration WAIT = Duration.ofSeconds(30);
  private static final int SIZE = 1000;

  @RegisterExtension final Opened opened = new Opened();
  private final BlockingQueue<P2pException> ends = new LinkedBlockingQueue<>();
  private final DefaultP2pEngine engine = opened.closing(open(Map.of()));

  private static DefaultP2pEngine open(Map<String, String> environment) {
    Map<String, String> all = new HashMap<>(environment);
    all.put("UCCL_SOCKET_IFNAME", "lo");
    return DefaultP2pEngine.open(EngineConfig.of(all).withTransport("tcp"));
  }

  private static MemoryRegion region(DefaultP2pEngine of, int length) {
    return of.register(ByteBuffer.allocateDirect(length));
  }

  private static P2pException failureOf(Transfer transfer) throws InterruptedException {
    try {
      assertThat(transfer.await(WAIT)).isTrue();
    } catch (P2pException e) {
      return e;
    }
    throw new AssertionError("the transfer ended well");
  }

  /** A peer that connects by plain sockets, and does nothing more than the test says. */
  private final class Plain {
    private final Socket control;
    private final Socket data;
    private final Connection connection;

    Plain(int features) throws IOException, InterruptedException {
      FakePeer.Joined joined = opened.closing(new FakePeer()).join(engine, features);
      control = joined.control();
      data = joined.data();
      connection = joined.connection();
      connection.onClosed(ends::add);
    }

    void say(byte[] frame) throws IOException {
      FakePeer.writeFrame(control, frame);
    }

    byte[] hear() throws IOException {
      return FakePeer.readFrame(control);
    }

    /** Takes an operation off the data connection and says that it is done. */
    void finishOneWrite() throws IOException {
      byte[] header = data.getInputStream().readNBytes(64);
      ByteBuffer fields = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN);
      assertThat(data.getInputStream().readNBytes(fields.getInt(4))).hasSize(fields.getInt(4));
      byte[] done = new byte[64];
      ByteBuffer.wrap(done)
          .order(ByteOrder.LITTLE_ENDIAN)
          .putInt(0, 6)
          .putLong(8, fields.getLong(8));
      data.getOutputStream().write(done);
    }
  }

  private int inFlightTo(Connection connection, long idx) {
    return engine.loop().call(() -> ((DefaultConnection) connection).inFlightTo(idx));
  }

  private static FifoDescriptor theirs(int rid) {
    return FifoDescriptor.of(0x1000, SIZE, 0, rid, idx(rid), 1, 0x1000, SIZE);
  }

  private static long idx(int epoch) {
    return (long) FakePeer.LIFE << 32 | epoch;
  }

  @Test
  void whatThePeerHasClosedIsRefusedHereAndTheConnectionGoesOn() throws Exception {
    DefaultP2pEngine other = opened.closing(open(Map.of()));
    Connection connection = engine.connect(other.metadata(), WAIT);
    Connection back = Objects.requireNonNull(other.accept(WAIT));
    MemoryRegion local = region(engine, SIZE);
    MemoryRegion first = region(other, SIZE);
    MemoryRegion second = region(other, SIZE);
    FifoDescriptor stale = first.advertise();
    FifoDescriptor good = second.advertise();
    first.close();
    // What comes behind the news of the close has come, so that has come too.
    back.sendNotification(Notification.of("closed", new byte[0]));
    assertThat(engine.takeNotification(WAIT)).isNotNull();
    assertThat(failureOf(connection.write(local, 0, stale)))
        .isInstanceOf(RemoteAccessException.class)
        .hasMessageContaining("the peer has closed the region");
    try (TransferBatch batch = connection.newBatch(3)) {
      batch.write(local, 0, good, 0, 10);
      batch.read(local, 10, stale, 10, 10);
      batch.write(local, 20, good, 20, 10);
      batch.post();
      assertThat(failureOf(batch).detail().operation()).contains("operation 1 of 3");
      assertThat(batch.status(0)).isEqualTo(TransferStatus.DONE);
      assertThat(batch.status(1)).isEqualTo(TransferStatus.FAILED);
      assertThat(batch.status(2)).isEqualTo(TransferStatus.DONE);
    }
    assertThat(connection.isOpen()).isTrue();
  }

  @Test
  void aRegionIsDrainedWhenTheLastOperationInFlightHasEnded() throws Exception {
    Plain plain = new Plain(HandshakeTrailer.FEATURE_REVOKES);
    MemoryRegion local = region(engine, SIZE);
    Transfer one = plain.connection.write(local, 0, theirs(1), 0, 10);
    Transfer two = plain.connection.write(local, 0, theirs(1), 0, 10);
    until("both are in flight", () -> inFlightTo(plain.connection, idx(1)) == 2);
    plain.say(ControlCodec.encodeRevoke(1, idx(1)));
    plain.say(ControlCodec.encodeRevoke(2, idx(2)));
    assertThat(plain.hear())
        .as("nothing uses the second")
        .isEqualTo(ControlCodec.encodeDrained(2, idx(2)));
    assertThat(failureOf(plain.connection.write(local, 0, theirs(1))))
        .isInstanceOf(RemoteAccessException.class);
    plain.finishOneWrite();
    assertThat(one.await(WAIT)).isTrue();
    plain.say(ControlCodec.encodeRevoke(3, idx(3)));
    assertThat(plain.hear())
        .as("one still uses the first")
        .isEqualTo(ControlCodec.encodeDrained(3, idx(3)));
    plain.finishOneWrite();
    assertThat(two.await(WAIT)).isTrue();
    assertThat(plain.hear()).isEqualTo(ControlCodec.encodeDrained(1, idx(1)));
    assertThat(plain.connection.isOpen()).isTrue();
  }

  @Test
  void whatIsQueuedForARevokedRegionFailsAndWhatComesBehindItGoesOn() throws Exception {
    DefaultP2pEngine narrow = opened.closing(open(Map.of("UCCL_P2P_MAX_INFLIGHT_OPS", "1")));
    FakePeer peer = opened.closing(new FakePeer());
    peer.features = HandshakeTrailer.FEATURE_REVOKES;
    CompletableFuture<Socket> served = new CompletableFuture<>();
    peer.serve(
        (acceptor, control) -> {
          FakePeer.acceptAndFreeze(acceptor, control);
          assertThat(FakePeer.readFrame(control)).isEqualTo(ControlCodec.encodeReady());
          served.complete(control);
        });
    Connection connection = narrow.connect(peer.metadata(), WAIT);
    MemoryRegion local = region(narrow, SIZE);
    Transfer inFlight = connection.write(local, 0, theirs(1), 0, 10);
    Transfer queued = connection.write(local, 0, theirs(2), 0, 10);
    Socket control = served.get(30, TimeUnit.SECONDS);
    FakePeer.writeFrame(control, ControlCodec.encodeRevoke(2, idx(2)));
    assertThat(FakePeer.readFrame(control)).isEqualTo(ControlCodec.encodeDrained(2, idx(2)));
    assertThat(inFlight.status()).isEqualTo(TransferStatus.IN_FLIGHT);
    connection.close();
    assertThat(failureOf(inFlight)).isInstanceOf(ResourceClosedException.class);
    assertThat(failureOf(queued)).isInstanceOf(P2pException.class);
  }

  @Test
  void closingWaitsForTheAnswerOfThePeer() throws Exception {
    Plain plain = new Plain(HandshakeTrailer.FEATURE_REVOKES);
    MemoryRegion local = region(engine, SIZE);
    FifoDescriptor descriptor = local.advertise();
    CompletableFuture<Void> closed = CompletableFuture.runAsync(local::close);
    assertThat(plain.hear())
        .isEqualTo(ControlCodec.encodeRevoke(descriptor.rid(), descriptor.idx()));
    assertThatThrownBy(local::advertise).isInstanceOf(ResourceClosedException.class);
    plain.say(ControlCodec.encodeDrained(descriptor.rid(), descriptor.idx()));
    closed.get(30, TimeUnit.SECONDS);
    local.close();
    assertThat(plain.connection.isOpen()).isTrue();
  }

  @Test
  void aPeerThatDoesNotAnswerOrIsGoneDoesNotKeepARegionFromClosing() throws Exception {
    Plain silent = new Plain(HandshakeTrailer.FEATURE_REVOKES);
    MemoryRegion first = region(engine, SIZE);
    FifoDescriptor descriptor = first.advertise();
    first.close();
    assertThat(silent.hear())
        .isEqualTo(ControlCodec.encodeRevoke(descriptor.rid(), descriptor.idx()));
    // An answer that comes late means nothing.
    silent.say(ControlCodec.encodeDrained(descriptor.rid(), descriptor.idx()));
    silent.say(ControlCodec.encodeDrained(99, idx(99)));
    MemoryRegion second = region(engine, SIZE);
    second.advertise();
    CompletableFuture<Void> closed = CompletableFuture.runAsync(second::close);
    silent.hear();
    silent.control.close();
    closed.get(30, TimeUnit.SECONDS);
    assertThat(ends.poll(30, TimeUnit.SECONDS)).isInstanceOf(PeerLostException.class);
  }

  @Test
  void onlyPeersThatAnnouncedItAreToldAndOnlyOfWhatTheyMayKnow() throws Exception {
    Plain old = new Plain(0);
    Plain plain = new Plain(HandshakeTrailer.FEATURE_REVOKES);
    MemoryRegion advertised = region(engine, SIZE);
    advertised.advertise();
    MemoryRegion secret = region(engine, SIZE);
    secret.close();
    advertised.close();
    Notification last = Notification.of("last", new byte[0]);
    for (Plain each : List.of(old, plain)) {
      each.connection.sendNotification(last);
    }
    assertThat(old.hear()).isEqualTo(ControlCodec.encode(last));
    assertThat(plain.hear()).hasSize(20);
    assertThat(plain.hear()).isEqualTo(ControlCodec.encode(last));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whoRevokesOrDrainsUnannouncedBreaksTheProtocol(boolean revokes) throws Exception {
    Plain old = new Plain(0);
    old.say(revokes ? ControlCodec.encodeRevoke(1, idx(1)) : ControlCodec.encodeDrained(1, idx(1)));
    assertThat(ends.poll(30, TimeUnit.SECONDS))
        .isInstanceOf(HandshakeException.class)
        .hasMessageContaining("announced no such thing");
  }

  @Test
  void whoRevokesWhatIsNotItsOwnBreaksTheProtocol() throws Exception {
    Plain plain = new Plain(HandshakeTrailer.FEATURE_REVOKES);
    plain.say(ControlCodec.encodeRevoke(1, (long) (FakePeer.LIFE + 1) << 32 | 1));
    assertThat(ends.poll(30, TimeUnit.SECONDS))
        .isInstanceOf(HandshakeException.class)
        .hasMessageContaining("it revoked region 1 of life 4e, which is not its own");
  }

  @Test
  void whoRevokesWithoutEndAndDoesNotReadTheAnswersIsCutOff() throws Exception {
    Plain plain = new Plain(HandshakeTrailer.FEATURE_REVOKES);
    ByteBuffer many = ByteBuffer.allocate(24 * 4096);
    byte[] frame = ControlCodec.encodeRevoke(1, idx(1));
    while (many.hasRemaining()) {
      many.putInt(frame.length).put(frame);
    }
    assertThatThrownBy(
            () -> {
              while (true) {
                plain.control.getOutputStream().write(many.array());
              }
            })
        .isInstanceOf(IOException.class);
    assertThat(ends.poll(30, TimeUnit.SECONDS))
        .isInstanceOf(HandshakeException.class)
        .hasMessageContaining("does not read the answers");
  }
}
