package io.uccl.p2p.engine;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.FifoDescriptor;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/** The other side of a connection as plain sockets, which say what a test wants and no more. */
final class FakePeer implements AutoCloseable {

  static final int MAGIC = 0x50435455;
  static final int LIFE = 77;
  static final long COOKIE = 4711;
  private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

  /** What a fake acceptor does with the control connection that an engine makes. */
  interface Script {
    void run(FakePeer peer, Socket control) throws IOException;
  }

  final ServerSocket control;
  final ServerSocket data;
  final AtomicReference<Throwable> failure = new AtomicReference<>();

  /** What it announces beside READY. */
  int features;

  private final List<Socket> sockets = new ArrayList<>();
  private Thread thread;

  FakePeer() throws IOException {
    control = new ServerSocket(0, 50, LOOPBACK);
    data = new ServerSocket(0, 50, LOOPBACK);
  }

  EndpointMetadata metadata() {
    return new EndpointMetadata(LOOPBACK, control.getLocalPort(), "");
  }

  /** Accepts one control connection and runs the script on it, on a thread of its own. */
  void serve(Script script) {
    thread =
        new Thread(
            () -> {
              try {
                Socket socket = control.accept();
                keep(socket);
                script.run(this, socket);
              } catch (IOException | RuntimeException e) {
                failure.set(e);
              }
            });
    thread.setDaemon(true);
    thread.start();
  }

  /** Finishes a handshake as an acceptor does, and from then on neither reads nor writes. */
  static void acceptAndFreeze(FakePeer peer, Socket control) throws IOException {
    long cookie = cookieOf(readFrame(control));
    writeFrame(control, peer.handshake());
    Socket socket = peer.data.accept();
    peer.keep(socket);
    socket.getInputStream().readNBytes(64);
    socket.getOutputStream().write(greeting(2, cookie, COOKIE));
  }

  synchronized void keep(Socket socket) {
    sockets.add(socket);
  }

  /** A connection to an engine's control channel. */
  Socket connect(EndpointMetadata engine) throws IOException {
    Socket socket = new Socket();
    keep(socket);
    socket.connect(engine.socketAddress());
    socket.setSoTimeout(30_000);
    return socket;
  }

  /** The data connection of a connector whose handshake was answered. */
  Socket connectData(byte[] answer) throws IOException {
    ByteBuffer parameters = parametersOf(answer);
    Socket socket = new Socket();
    keep(socket);
    int port = Short.toUnsignedInt(parameters.getShort(2));
    socket.connect(new InetSocketAddress(LOOPBACK, port));
    socket.getOutputStream().write(greeting(1, parameters.getLong(4), COOKIE));
    socket.setSoTimeout(30_000);
    socket.getInputStream().readNBytes(64);
    return socket;
  }

  /** A connection of a fake peer to an engine. */
  record Joined(Socket control, Socket data, Connection connection) {}

  /**
   * Connects to an engine and finishes the handshake as a connector does; from then on it says only
   * what the test writes.
   *
   * @param features what the peer announces beside READY
   */
  Joined join(DefaultP2pEngine engine, int features) throws IOException, InterruptedException {
    this.features = features;
    Socket link = connect(engine.metadata());
    writeFrame(link, handshake());
    Socket carrier = connectData(readFrame(link));
    writeFrame(link, ControlCodec.encodeReady());
    Connection connection = engine.accept(Duration.ofSeconds(30));
    return new Joined(link, carrier, connection);
  }

  byte[] handshake() {
    return handshake(parameters(), true);
  }

  byte[] handshake(byte[] parameters, boolean trailer) {
    HandshakeTrailer mine =
        HandshakeTrailer.of(LIFE, HandshakeTrailer.FEATURE_READY | features, metadata());
    byte[] all = trailer ? HandshakeTrailer.append(parameters, mine) : parameters;
    return new Handshake(MAGIC, 0, control.getLocalPort(), all).encode();
  }

  /** As the tcp transport has them. */
  byte[] parameters() {
    return ByteBuffer.allocate(16)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put((byte) 1)
        .put((byte) 4)
        .putShort((short) data.getLocalPort())
        .putLong(COOKIE)
        .put(LOOPBACK.getAddress())
        .array();
  }

  static byte[] greeting(int kind, long id, long address) {
    return ByteBuffer.allocate(64)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(0, (byte) kind)
        .putLong(8, id)
        .putLong(16, address)
        .array();
  }

  private static ByteBuffer parametersOf(byte[] handshake) {
    return ByteBuffer.wrap(handshake, 16, 16).slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  static long cookieOf(byte[] handshake) {
    return parametersOf(handshake).getLong(4);
  }

  static void writeFrame(Socket socket, byte[] payload) throws IOException {
    DataOutputStream out = new DataOutputStream(socket.getOutputStream());
    out.writeInt(payload.length);
    out.write(payload);
    out.flush();
  }

  static byte[] readFrame(Socket socket) throws IOException {
    DataInputStream in = new DataInputStream(socket.getInputStream());
    byte[] payload = new byte[in.readInt()];
    in.readFully(payload);
    return payload;
  }

  /** A range that nothing serves. */
  static FifoDescriptor descriptor(long length) {
    return FifoDescriptor.of(0x1000, length, 0, 1, (long) LIFE << 32 | 1, 1, 0x1000, length);
  }

  @Override
  public synchronized void close() throws IOException {
    control.close();
    data.close();
    for (Socket socket : sockets) {
      socket.close();
    }
  }
}
