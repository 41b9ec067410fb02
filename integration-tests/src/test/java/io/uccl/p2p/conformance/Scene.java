package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** One engine and what it is in the middle of; closing it all is what is tested. */
final class Scene implements Closeable {

  static final int LENGTH = 1 << 20;

  /** A gigabyte in all, so that it is not over before something is closed. */
  private static final int OPERATIONS = 1024;

  private final P2pEngine engine = P2pEngine.open(Scenes.CONFIG);
  private final MemoryRegion source = engine.allocate(LENGTH);
  private final MemoryRegion target = engine.allocate(LENGTH);
  private final List<Transfer> transfers = new ArrayList<>();
  private final List<Closeable> sockets = new ArrayList<>();
  private P2pEngine peer;
  private Connection connection;
  private FutureTask<Object> waiting;

  P2pEngine engine() {
    return engine;
  }

  /** What the engine's own transfer uses. */
  MemoryRegion source() {
    return source;
  }

  /** What the peer's transfer uses. */
  MemoryRegion target() {
    return target;
  }

  /** The connection to the peer; null if there is none. */
  Connection connection() {
    return connection;
  }

  void connection(Connection made) {
    connection = made;
  }

  /** Keeps a socket of the scene's, to be closed with it. */
  <T extends Closeable> T keep(T socket) {
    sockets.add(socket);
    return socket;
  }

  /** Connects to another engine of this process; returns its side of the connection. */
  Connection connectToPeerHere() throws InterruptedException {
    peer = P2pEngine.open(Scenes.CONFIG);
    connection = engine.connect(peer.metadata(), Scenes.PATIENCE);
    Connection back = peer.accept(Scenes.PATIENCE);
    assertThat(back).as("the peer's side").isNotNull();
    return back;
  }

  /** Starts transfers in both directions with another engine of this process. */
  void transferBothWays() throws InterruptedException {
    Connection back = connectToPeerHere();
    MemoryRegion there = peer.allocate(LENGTH);
    transfer(there.advertise());
    transfers.add(post(back, there, target.advertise()));
  }

  /** Starts to write and read the peer's memory. */
  void transfer(FifoDescriptor there) {
    transfers.add(post(connection, source, there));
  }

  private static Transfer post(Connection over, MemoryRegion local, FifoDescriptor there) {
    TransferBatch batch = over.newBatch(OPERATIONS);
    for (int i = 0; i < OPERATIONS; i += 2) {
      batch.write(local, 0, there, 0, LENGTH).read(local, 0, there, 0, LENGTH);
    }
    batch.post();
    return batch;
  }

  boolean isTransferring() {
    return transfers.stream().anyMatch(each -> each.status() == TransferStatus.IN_FLIGHT);
  }

  /** Runs what only the close of the engine ends, and returns when it waits. */
  void waitFor(Callable<Object> call) {
    waiting = new FutureTask<>(call);
    Thread thread = new Thread(waiting, "waits in ClosingProbe");
    thread.start();
    while (thread.getState() != Thread.State.TIMED_WAITING) {
      assertThat(waiting.isDone()).as("ended instead of waiting").isFalse();
      Thread.yield();
    }
  }

  /** The name of the thread that a closed engine must not have any more. */
  String controlThread() {
    return "p2p-control-" + engine.metadata().port();
  }

  /** Each transfer ends, and what only the close of the engine ends says that it was closed. */
  void awaitEnd() throws InterruptedException {
    for (Transfer each : transfers) {
      try {
        assertThat(each.await(Scenes.PATIENCE)).as("the transfer ended").isTrue();
      } catch (P2pException e) {
        assertThat(e.detail().operation()).isNotEmpty();
      }
    }
    if (waiting != null) {
      assertThatThrownBy(this::waited).hasCauseInstanceOf(ResourceClosedException.class);
    }
  }

  private Object waited() throws ExecutionException, InterruptedException, TimeoutException {
    return waiting.get(Scenes.PATIENCE.toSeconds(), TimeUnit.SECONDS);
  }

  @Override
  public void close() throws IOException {
    engine.close();
    if (peer != null) {
      peer.close();
    }
    for (Closeable each : sockets) {
      each.close();
    }
  }
}
