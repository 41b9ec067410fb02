package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.RegionInUseException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * In whatever state an engine is, closing it, its connection or its region takes less than a second
 * and leaves nothing behind.
 */
@Tag("prove")
@Tag("closing")
class ClosingTest {

  private static final int ROUNDS = Boolean.getBoolean("p2p.prove") ? 1000 : 50;
  private static final int WARM_UP = 3;

  /** How many engines one death of a peer process serves. */
  private static final int ENGINES_A_DEATH = 10;

  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final EngineConfig CONFIG =
      EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo")).withTransport("tcp");
  private static final int LENGTH = 1 << 20;
  private static final int OPERATIONS = 64;

  /** What is closed. */
  enum Thing {
    ENGINE,
    CONNECTION,
    REGION
  }

  /** What is going on meanwhile. */
  enum State {
    NEVER_CONNECTED,
    CONNECTING,
    ACCEPTING,
    HALF_A_HANDSHAKE_SENT,
    HALF_A_HANDSHAKE_RECEIVED,
    IDLE,
    TRANSFERRING_BOTH_WAYS,
    CLOSING_ELSEWHERE,
    PEER_STOPPED,
    PEER_DEAD;

    boolean hasConnection() {
      return compareTo(IDLE) >= 0;
    }
  }

  static List<Arguments> table() {
    List<Arguments> rows = new ArrayList<>();
    for (State state : State.values()) {
      for (Thing thing : Thing.values()) {
        if (thing != Thing.CONNECTION || state.hasConnection()) {
          rows.add(Arguments.of(thing, state));
        }
      }
    }
    return rows;
  }

  @ParameterizedTest(name = "{0}, {1}")
  @MethodSource("table")
  void closingIsQuickAndLeavesNothing(Thing thing, State state) throws Exception {
    try (Surroundings around = new Surroundings(state)) {
      for (int i = 0; i < WARM_UP; i++) {
        round(thing, state, around);
        around.clean();
      }
      awaitNothingOf(new Footprint(Set.of(), Footprint.now().files(), 0), false);
      Footprint before = Footprint.collected();
      for (int i = 0; i < ROUNDS; i++) {
        round(thing, state, around);
        around.clean();
        if (state != State.PEER_DEAD) {
          awaitNothingOf(before, false);
        }
      }
      around.end();
      awaitNothingOf(before, true);
    }
  }

  private static void awaitNothingOf(Footprint before, boolean memory) throws Exception {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    String left;
    do {
      left = (memory ? Footprint.collected() : Footprint.now()).beyond(before, memory);
    } while (!left.isEmpty() && System.nanoTime() - deadline < 0);
    assertThat(left).as("left behind").isEmpty();
  }

  private static void round(Thing thing, State state, Surroundings around) throws Exception {
    try (Scene scene = around.scene()) {
      switch (thing) {
        case ENGINE -> scene.close(scene.engine, around);
        case CONNECTION -> scene.close(scene.connection, around);
        case REGION -> {
          if (scene.transfer != null && scene.transfer.status().name().equals("IN_FLIGHT")) {
            // It may end at any moment where the peer answers, so both are right there.
            try {
              scene.close(scene.region, around);
              assertThat(state).isNotEqualTo(State.PEER_STOPPED);
            } catch (RegionInUseException e) {
              scene.connection.close();
            }
            scene.awaitEnd();
          }
          scene.close(scene.region, around);
        }
      }
      quickly(scene.engine);
      scene.awaitEnd();
      if (scene.waiting != null) {
        FutureTask<Object> waiting = scene.waiting;
        assertThatThrownBy(() -> waiting.get(PATIENCE.toSeconds(), TimeUnit.SECONDS))
            .isInstanceOf(ExecutionException.class)
            .hasCauseInstanceOf(ResourceClosedException.class);
      }
      assertThat(scene.connection == null || !scene.connection.isOpen()).isTrue();
    }
  }

  private static void quickly(AutoCloseable thing) throws Exception {
    long start = System.nanoTime();
    thing.close();
    assertThat(Duration.ofNanos(System.nanoTime() - start))
        .as("close of %s", thing)
        .isLessThan(Duration.ofSeconds(1));
  }

  /** One engine in the state, with what it has; closing it all is what is tested. */
  private static final class Scene implements AutoCloseable {

    final P2pEngine engine = P2pEngine.open(CONFIG);
    final MemoryRegion region = engine.allocate(LENGTH);
    final ArrayDeque<AutoCloseable> others = new ArrayDeque<>();
    Connection connection;
    Transfer transfer;
    Transfer incoming;
    FutureTask<Object> waiting;

    /** Runs what only the close of the engine ends, and returns when it waits. */
    void waitFor(Callable<Object> call) {
      waiting = new FutureTask<>(call);
      Thread thread = new Thread(waiting, "waits in ClosingTest");
      thread.start();
      while (thread.getState() != Thread.State.TIMED_WAITING) {
        assertThat(waiting.isDone()).as("ended instead of waiting").isFalse();
        Thread.yield();
      }
    }

    /** Closes it within a second; in that state, on two threads at once. */
    void close(AutoCloseable thing, Surroundings around) throws Exception {
      if (around.state != State.CLOSING_ELSEWHERE) {
        quickly(thing);
        return;
      }
      CyclicBarrier start = new CyclicBarrier(2);
      FutureTask<Object> elsewhere =
          new FutureTask<>(
              () -> {
                start.await();
                quickly(thing);
                return closedFor(thing);
              });
      new Thread(elsewhere, "closes in ClosingTest").start();
      start.await();
      quickly(thing);
      assertThat(closedFor(thing)).isEqualTo("closed");
      assertThat(elsewhere.get(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isEqualTo("closed");
    }

    /** For whom close has returned nobody listens at the engine's port, whoever closed it. */
    private Object closedFor(AutoCloseable thing) throws IOException {
      if (thing == engine) {
        EndpointMetadata gone = engine.metadata();
        try (Socket socket = new Socket(gone.address(), gone.port())) {
          return "open: " + socket;
        } catch (ConnectException refused) {
          return "closed";
        }
      }
      return "closed";
    }

    void awaitEnd() throws InterruptedException {
      for (Transfer each : new Transfer[] {transfer, incoming}) {
        try {
          assertThat(each == null || each.await(PATIENCE)).as("the transfer ended").isTrue();
        } catch (P2pException e) {
          assertThat(e.detail().operation()).isNotEmpty();
        }
      }
    }

    @Override
    public void close() throws Exception {
      for (AutoCloseable each : others) {
        each.close();
      }
    }
  }

  /** What the scenes of one state share. */
  private static final class Surroundings implements AutoCloseable {

    final State state;
    private PeerProcess process;
    private RemoteEngine remote;
    private boolean stopped;
    private final ArrayDeque<Scene> beforeDeath = new ArrayDeque<>();
    private final List<Socket> backlog = new ArrayList<>();
    private ServerSocket deaf;
    private byte[] handshake;

    Surroundings(State state) throws Exception {
      this.state = state;
      switch (state) {
        case CONNECTING -> fillBacklog();
        case HALF_A_HANDSHAKE_RECEIVED -> recordHandshake();
        case PEER_STOPPED -> {
          process = PeerProcess.start();
          remote = process.open(CONFIG);
        }
        default -> {}
      }
    }

    /** A port that answers nobody any more: the kernel drops who comes when the backlog is full. */
    private void fillBacklog() throws IOException {
      deaf = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
      while (true) {
        Socket socket = new Socket();
        backlog.add(socket);
        try {
          socket.connect(deaf.getLocalSocketAddress(), 300);
        } catch (SocketTimeoutException full) {
          return;
        }
      }
    }

    private void recordHandshake() throws Exception {
      try (Scene scene = new Scene();
          ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
        scene.waitFor(() -> scene.engine.connect(metadata(server), PATIENCE));
        try (Socket socket = server.accept()) {
          handshake = readFrame(socket);
        }
        scene.engine.close();
      }
    }

    Scene scene() throws Exception {
      if (state == State.PEER_DEAD) {
        return sceneOfDeath();
      }
      Scene scene = new Scene();
      switch (state) {
        case NEVER_CONNECTED, PEER_DEAD -> {}
        case CONNECTING -> scene.waitFor(() -> scene.engine.connect(metadata(deaf), PATIENCE));
        case ACCEPTING -> scene.waitFor(() -> scene.engine.accept(PATIENCE));
        case HALF_A_HANDSHAKE_SENT -> halfAnswer(scene);
        case HALF_A_HANDSHAKE_RECEIVED -> halfRequest(scene);
        case IDLE, CLOSING_ELSEWHERE -> connectHere(scene);
        case TRANSFERRING_BOTH_WAYS -> transferBothWays(scene);
        case PEER_STOPPED -> {
          FifoDescriptor there = connectThere(scene);
          process.suspend();
          stopped = true;
          scene.transfer = post(scene, there);
        }
      }
      return scene;
    }

    /** The engine has sent its handshake and has got half of the answer. */
    private void halfAnswer(Scene scene) throws Exception {
      ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
      scene.others.add(server);
      scene.waitFor(() -> scene.engine.connect(metadata(server), PATIENCE));
      Socket socket = server.accept();
      scene.others.add(socket);
      byte[] sent = readFrame(socket);
      socket.getOutputStream().write(frame(sent), 0, sent.length / 2);
    }

    /** The engine has answered a handshake, and nothing follows; or has got half of one. */
    private void halfRequest(Scene scene) throws Exception {
      EndpointMetadata own = scene.engine.metadata();
      for (int i = 0; i < 2; i++) {
        Socket socket = new Socket(own.address(), own.port());
        scene.others.add(socket);
        if (i == 0) {
          socket.getOutputStream().write(frame(handshake), 0, handshake.length / 2);
        } else {
          socket.getOutputStream().write(frame(handshake));
          readFrame(socket);
        }
      }
    }

    private static Connection connectHere(Scene scene) throws InterruptedException {
      P2pEngine there = P2pEngine.open(CONFIG);
      scene.others.add(there);
      scene.connection = scene.engine.connect(there.metadata(), PATIENCE);
      Connection back = there.accept(PATIENCE);
      assertThat(back).isNotNull();
      return back;
    }

    private static void transferBothWays(Scene scene) throws InterruptedException {
      Connection back = connectHere(scene);
      P2pEngine there = (P2pEngine) scene.others.element();
      MemoryRegion remote = there.register(ByteBuffer.allocateDirect(LENGTH));
      scene.transfer = post(scene, remote.advertise());
      scene.incoming = post(back, remote, scene.region.advertise());
    }

    private FifoDescriptor connectThere(Scene scene) throws InterruptedException {
      scene.connection = scene.engine.connect(remote.metadata(), PATIENCE);
      remote.accept();
      return remote.register(LENGTH).advertise();
    }

    private static Transfer post(Scene scene, FifoDescriptor there) {
      return post(scene.connection, scene.region, there);
    }

    private static Transfer post(Connection over, MemoryRegion local, FifoDescriptor there) {
      TransferBatch batch = over.newBatch(OPERATIONS);
      for (int i = 0; i < OPERATIONS; i += 2) {
        batch.write(local, 0, there, 0, LENGTH).read(local, 0, there, 0, LENGTH);
      }
      batch.post();
      return batch;
    }

    /** One death ends several peers at once: what is closed later has noticed it meanwhile. */
    private Scene sceneOfDeath() throws Exception {
      if (beforeDeath.isEmpty()) {
        process = PeerProcess.start();
        remote = process.open(CONFIG);
        for (int i = 0; i < ENGINES_A_DEATH; i++) {
          Scene scene = new Scene();
          FifoDescriptor there = connectThere(scene);
          scene.transfer = post(scene, there);
          beforeDeath.add(scene);
        }
        process.kill();
      }
      return beforeDeath.remove();
    }

    /** After each round. */
    void clean() {
      if (stopped) {
        process.resume();
        stopped = false;
      }
    }

    /** After the last round. */
    void end() throws Exception {
      while (!beforeDeath.isEmpty()) {
        quickly(beforeDeath.element().engine);
        beforeDeath.remove().awaitEnd();
      }
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
    public void close() throws Exception {
      end();
      clean();
      if (process != null) {
        process.close();
      }
      for (Socket socket : backlog) {
        socket.close();
      }
      if (deaf != null) {
        deaf.close();
      }
    }
  }
}
