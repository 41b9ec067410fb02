package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.PeerUnreachableException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(30)
class RawCopyTest {

  private static final int CAPACITY = 1 << 20;

  private final Footprint here = Footprint.of(ByteBuffer.allocateDirect(CAPACITY));
  private final Footprint there = Footprint.of(ByteBuffer.allocateDirect(CAPACITY));
  private final List<String> log = new CopyOnWriteArrayList<>();
  private RawServer server;

  @BeforeEach
  void open() throws IOException {
    server = RawServer.open(InetAddress.getLoopbackAddress(), there, log::add);
  }

  @AfterEach
  void close() throws IOException {
    server.close();
  }

  @ParameterizedTest
  @CsvSource({
    "WRITE,BLOCKING,65536,16",
    "WRITE,SPINNING,65536,16",
    "READ,BLOCKING,65536,16",
    "READ,SPINNING,65536,16",
    "WRITE,SPINNING,1,1",
    "READ,BLOCKING,3,5",
    "WRITE,BLOCKING,100000,10",
    "READ,SPINNING,3000,300"
  })
  void movesEveryByteOfItsShapeAndNoOther(Mode mode, Variant variant, long size, int numIovs)
      throws Exception {
    Shape shape = new Shape(size, numIovs);
    Footprint source = mode == Mode.WRITE ? here : there;
    Footprint destination = mode == Mode.WRITE ? there : here;
    BytePattern moved = new BytePattern(1);
    BytePattern untouched = new BytePattern(2);
    try (RawCopy copy = connect(server.token())) {
      moved.fill(source);
      untouched.fill(destination);
      long nanos = copy.side(shape, mode, variant).run(3);
      assertThat(nanos).isPositive();
    }
    assertThat(moved.firstWrong(destination.first(shape.totalBytes()))).isNull();
    BytePattern.WrongByte behind = moved.firstWrong(destination);
    if (shape.totalBytes() < CAPACITY) {
      assertThat(behind.offset()).isBetween(shape.totalBytes(), shape.totalBytes() + 7);
    } else {
      assertThat(behind).isNull();
    }
  }

  @Test
  void changesShapeAndWayOnOneConnection() throws Exception {
    try (RawCopy copy = connect(server.token())) {
      for (int numIovs = 1; numIovs <= 4; numIovs++) {
        for (Variant variant : Variant.values()) {
          for (Mode mode : Mode.values()) {
            assertThat(copy.side(new Shape(5000, numIovs), mode, variant).run(2)).isPositive();
          }
        }
      }
    }
    assertThat(log).isEmpty();
  }

  @Test
  void servesTheNextAfterOneHasLeft() throws Exception {
    for (int i = 0; i < 3; i++) {
      try (RawCopy copy = connect(server.token())) {
        assertThat(copy.side(new Shape(100, 1), Mode.WRITE, Variant.BLOCKING).run(1)).isPositive();
      }
    }
  }

  @Test
  void refusesWhoDoesNotKnowTheToken() throws Exception {
    BytePattern untouched = new BytePattern(2);
    untouched.fill(there);
    new BytePattern(1).fill(here);
    try (RawCopy copy = connect(server.token() + 1)) {
      Side side = copy.side(new Shape(100, 1), Mode.WRITE, Variant.BLOCKING);
      assertThatThrownBy(() -> side.run(1))
          .isInstanceOf(ToolException.class)
          .hasMessageContaining("raw socket copy broke: ")
          .hasMessageContaining("peer: ");
    }
    assertThat(untouched.firstWrong(there)).isNull();
    try (RawCopy copy = connect(server.token())) {
      copy.side(new Shape(100, 1), Mode.WRITE, Variant.BLOCKING).run(1);
    }
    assertThat(log)
        .containsExactly(
            "a connection to the port of the raw copy was ended: its order was refused");
  }

  @Test
  void refusesMoreThanItsMemory() throws Exception {
    Footprint more = Footprint.of(ByteBuffer.allocateDirect(CAPACITY + 1));
    InetSocketAddress address = address();
    try (RawCopy copy = RawCopy.connect(address, server.token(), more)) {
      Side side = copy.side(new Shape(CAPACITY + 1, 1), Mode.READ, Variant.BLOCKING);
      assertThatThrownBy(() -> side.run(1))
          .isInstanceOf(ToolException.class)
          .hasMessageContaining("raw socket copy broke: ")
          .hasMessageContaining("peer: ");
    }
  }

  @Test
  void closingEndsThePeersCopyAndTheThread() throws Exception {
    Thread thread = serverThread();
    try (RawCopy copy = connect(server.token())) {
      Side side = copy.side(new Shape(100, 1), Mode.WRITE, Variant.BLOCKING);
      side.run(1);
      server.close();
      assertThatThrownBy(() -> side.run(1))
          .isInstanceOf(ToolException.class)
          .hasMessageContaining("raw socket copy broke: ")
          .hasMessageContaining("peer: ");
    }
    thread.join(5000);
    assertThat(thread.isAlive()).isFalse();
    assertThat(log).isEmpty();
  }

  @Test
  void saysThatNobodyAnswers() throws Exception {
    // Bound and not listening: a port that was given back could be anybody's by now, also the
    // connecting socket's own.
    try (SocketChannel holder = SocketChannel.open()) {
      holder.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      InetSocketAddress nobody = (InetSocketAddress) holder.getLocalAddress();
      assertThatThrownBy(() -> RawCopy.connect(nobody, 0, here))
          .isInstanceOf(PeerUnreachableException.class)
          .hasMessageContaining("ephemeral ports");
    }
  }

  @ParameterizedTest
  @CsvSource({
    "WRITE,BLOCKING,0", "READ,BLOCKING,0",
    "WRITE,BLOCKING,1", "READ,BLOCKING,1",
    "WRITE,SPINNING,1", "READ,SPINNING,1"
  })
  void endsWhenNothingMovesAnyMore(Mode mode, Variant variant, int answers) throws Exception {
    Duration patience = Duration.ofSeconds(1);
    Footprint more = Footprint.of(ByteBuffer.allocateDirect(16 << 20));
    try (ServerSocket stopped = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        RawCopy copy =
            RawCopy.connect(
                new InetSocketAddress(stopped.getInetAddress(), stopped.getLocalPort()),
                1,
                more,
                patience);
        Socket accepted = stopped.accept()) {
      // It says that it is ready, or not even that, and reads and writes nothing more.
      accepted.getOutputStream().write(new byte[answers]);
      Side side = copy.side(new Shape(16 << 20, 1), mode, variant);
      assertThatThrownBy(() -> side.run(1))
          .isInstanceOfSatisfying(
              ToolException.class,
              e -> assertThat(e.exitCode()).isEqualTo(ExitCode.PEER_UNREACHABLE))
          .hasMessageContaining("raw socket copy stands still: no byte has moved for 1 s; peer: ")
          .hasMessageContaining(":" + stopped.getLocalPort());
    }
  }

  private RawCopy connect(long token) throws IOException {
    return RawCopy.connect(address(), token, here);
  }

  private InetSocketAddress address() {
    return new InetSocketAddress(InetAddress.getLoopbackAddress(), server.port());
  }

  private static Thread serverThread() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.getName().equals("p2p-bench-limit"))
        .findFirst()
        .orElseThrow();
  }
}
