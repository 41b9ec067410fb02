package io.uccl.p2p.conformance;

import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Makes the scenes of one state, and has what they share. */
final class Scenes implements Closeable {

  static final EngineConfig CONFIG =
      EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp");
  static final Duration PATIENCE = Duration.ofSeconds(30);

  /** How many scenes one death of a peer process serves. */
  private static final int SCENES_A_DEATH = 25;

  /** What an engine is in the middle of. */
  enum State {
    NEVER_CONNECTED,
    CONNECTING,
    ACCEPTING,
    HALF_A_HANDSHAKE_SENT,
    HALF_A_HANDSHAKE_RECEIVED,
    IDLE,
    TRANSFERRING_BOTH_WAYS,
    /** Another thread closes the same thing. */
    CLOSING,
    PEER_STOPPED,
    PEER_DEAD;

    boolean hasConnection() {
      return compareTo(IDLE) >= 0;
    }

    /** Not with a dead peer: its kernel says so at once, and all transfers end. */
    boolean transfers() {
      return this == TRANSFERRING_BOTH_WAYS || this == PEER_STOPPED;
    }
  }

  private final State state;

  // -- CONNECTING
  private final List<Closeable> sockets = new ArrayList<>();
  private EndpointMetadata deaf;

  // -- HALF_A_HANDSHAKE_RECEIVED
  private byte[] handshake;

  // -- PEER_STOPPED, PEER_DEAD
  private PeerProcess process;
  private RemoteEngine remote;
  private FifoDescriptor remoteMemory;
  private boolean stopped;

  Scenes(State state) throws IOException {
    this.state = state;
    switch (state) {
      case CONNECTING -> deaf = fillBacklog();
      case HALF_A_HANDSHAKE_RECEIVED -> handshake = recordHandshake();
      case PEER_STOPPED -> startPeer();
      default -> {}
    }
  }

  State state() {
    return state;
  }

  /** How many scenes are best made together, of those that are wanted. */
  int atOnce(int wanted) {
    return state == State.PEER_DEAD ? Math.min(SCENES_A_DEATH, wanted) : 1;
  }

  /** Makes scenes; all of them are in the state when this returns. */
  List<Scene> make(int count) throws IOException, InterruptedException {
    List<Scene> scenes = new ArrayList<>();
    if (state == State.PEER_DEAD) {
      startPeer();
      for (int i = 0; i < count; i++) {
        scenes.add(scene());
      }
      scenes.forEach(scene -> scene.transfer(remoteMemory));
      // One that is closed later has noticed it meanwhile.
      process.kill();
    } else {
      for (int i = 0; i < count; i++) {
        scenes.add(scene());
      }
      if (state == State.PEER_STOPPED) {
        process.suspend();
        stopped = true;
        scenes.forEach(scene -> scene.transfer(remoteMemory));
      }
    }
    return scenes;
  }

  /** After the scenes that were made last. */
  void clean() {
    if (stopped) {
      process.resume();
      stopped = false;
    }
  }

  private Scene scene() throws IOException, InterruptedException {
    Scene scene = new Scene();
    switch (state) {
      case NEVER_CONNECTED -> {}
      case CONNECTING -> scene.waitFor(() -> scene.engine().connect(deaf, PATIENCE));
      case ACCEPTING -> scene.waitFor(() -> scene.engine().accept(PATIENCE));
      case HALF_A_HANDSHAKE_SENT -> halfAnAnswer(scene);
      case HALF_A_HANDSHAKE_RECEIVED -> halfARequest(scene);
      case IDLE, CLOSING -> scene.connectToPeerHere();
      case TRANSFERRING_BOTH_WAYS -> scene.transferBothWays();
      case PEER_STOPPED, PEER_DEAD -> {
        scene.connection(scene.engine().connect(remote.metadata(), PATIENCE));
        remote.accept();
      }
    }
    return scene;
  }

  /** A port that answers nobody any more: its kernel drops who comes when the backlog is full. */
  private EndpointMetadata fillBacklog() throws IOException {
    ServerSocket server = listener();
    sockets.add(server);
    while (true) {
      Socket socket = new Socket();
      sockets.add(socket);
      try {
        socket.connect(server.getLocalSocketAddress(), 300);
      } catch (SocketTimeoutException full) {
        return metadata(server);
      }
    }
  }

  private static byte[] recordHandshake() throws IOException {
    try (Scene scene = new Scene();
        ServerSocket server = listener()) {
      scene.waitFor(() -> scene.engine().connect(metadata(server), PATIENCE));
      try (Socket socket = server.accept()) {
        return readFrame(socket);
      }
    }
  }

  /** The engine has sent its handshake and has got half of the answer. */
  private static void halfAnAnswer(Scene scene) throws IOException {
    ServerSocket server = scene.keep(listener());
    scene.waitFor(() -> scene.engine().connect(metadata(server), PATIENCE));
    Socket socket = scene.keep(server.accept());
    byte[] sent = readFrame(socket);
    socket.getOutputStream().write(frame(sent), 0, sent.length / 2);
  }

  /** The engine has answered one handshake, and nothing follows, and has got half of another. */
  private void halfARequest(Scene scene) throws IOException {
    EndpointMetadata own = scene.engine().metadata();
    Socket answered = scene.keep(new Socket(own.address(), own.port()));
    answered.getOutputStream().write(frame(handshake));
    readFrame(answered);
    Socket half = scene.keep(new Socket(own.address(), own.port()));
    half.getOutputStream().write(frame(handshake), 0, handshake.length / 2);
  }

  private void startPeer() {
    closePeer();
    process = PeerProcess.start();
    remote = process.open(CONFIG);
    remoteMemory = remote.register(Scene.LENGTH).advertise();
  }

  private void closePeer() {
    if (process != null) {
      process.close();
    }
  }

  private static ServerSocket listener() throws IOException {
    return new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
  }

  private static EndpointMetadata metadata(ServerSocket server) {
    return new EndpointMetadata(server.getInetAddress(), server.getLocalPort(), "");
  }

  private static byte[] readFrame(Socket socket) throws IOException {
    DataInputStream in = new DataInputStream(socket.getInputStream());
    byte[] payload = new byte[in.readInt()];
    in.readFully(payload);
    return payload;
  }

  private static byte[] frame(byte[] payload) {
    return ByteBuffer.allocate(4 + payload.length).putInt(payload.length).put(payload).array();
  }

  @Override
  public void close() throws IOException {
    clean();
    closePeer();
    for (Closeable each : sockets) {
      each.close();
    }
  }
}
