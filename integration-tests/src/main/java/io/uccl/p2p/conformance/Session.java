package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferStatus;
import java.nio.ByteBuffer;
import java.util.Objects;

/** An engine here, an engine in a peer process, and a connection between them. */
final class Session implements AutoCloseable {

  private final P2pEngine engine;
  private final RemoteEngine peer;
  private final Connection connection;
  private final RemoteConnection back;

  private Session(P2pEngine engine, RemoteEngine peer) throws InterruptedException {
    this.engine = engine;
    this.peer = peer;
    connection = engine.connect(peer.metadata(), Limits.PATIENCE);
    back = peer.accept();
  }

  /** Opens one with the same configuration on both sides. */
  static Session open(PeerProcess process, EngineConfig config) throws InterruptedException {
    P2pEngine engine = P2pEngine.open(config);
    try {
      RemoteEngine peer = process.open(config);
      return new Session(engine, peer);
    } catch (InterruptedException | RuntimeException | Error e) {
      engine.close();
      throw e;
    }
  }

  P2pEngine engine() {
    return engine;
  }

  RemoteEngine peer() {
    return peer;
  }

  Connection connection() {
    return connection;
  }

  /** The same connection, as the peer has it. */
  RemoteConnection back() {
    return back;
  }

  /** Another connection between the two engines. */
  Connection connectAgain() throws InterruptedException {
    Connection another = engine.connect(peer.metadata(), Limits.PATIENCE);
    peer.accept();
    return another;
  }

  MemoryRegion local(int length) {
    return engine.register(ByteBuffer.allocateDirect(length));
  }

  RemoteRegion remote(int length) {
    return peer.register(length);
  }

  /** Fills a whole region; its byte i is the pattern's byte i. */
  static void fill(MemoryRegion region, long seed) {
    Pattern.fill(region, 0, region.length(), seed, 0);
  }

  /** Checks a whole region, as {@link #fill} left it. */
  static void check(String what, MemoryRegion region, long seed) {
    check(what, region, 0, region.length(), seed, 0);
  }

  /** Fails if a byte is not the pattern's. */
  static void check(
      String what, MemoryRegion region, long offset, long length, long seed, long position) {
    assertThat(Pattern.mismatch(region, offset, length, seed, position))
        .as(
            "%s: first wrong byte in local memory, of %d at offset %d (seed %d, position %d)",
            what, length, offset, seed, position)
        .isEqualTo(-1);
  }

  /** Waits until a transfer has ended well. */
  static void finish(Transfer transfer) throws InterruptedException {
    assertThat(transfer.await(Limits.PATIENCE)).as("the transfer ended in time").isTrue();
    assertThat(transfer.status()).isEqualTo(TransferStatus.DONE);
    assertThat(transfer.failure()).isNull();
    assertThat(transfer.buffer()).isEqualTo(BufferState.FREE);
  }

  /** Waits until a transfer has failed, and returns why. */
  static P2pException failureOf(Transfer transfer) throws InterruptedException {
    try {
      assertThat(transfer.await(Limits.PATIENCE)).as("the transfer ended in time").isTrue();
    } catch (P2pException e) {
      assertThat(transfer.status()).isEqualTo(TransferStatus.FAILED);
      assertThat(transfer.failure()).hasSameClassAs(e).hasMessage(e.getMessage());
      return Objects.requireNonNull(transfer.failure());
    }
    throw new AssertionError("the transfer ended well, but it should have failed");
  }

  @Override
  public void close() {
    engine.close();
    peer.close();
  }
}
