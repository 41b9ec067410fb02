package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.P2pException;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.ChannelRole;
import io.uccl.p2p.spi.CompletionBuffer;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.PendingChannel;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import io.uccl.p2p.transport.rdma.VerbsTransportProvider;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/** An rdma transport without an engine, with a region and the way to another such one. */
final class VerbsSide implements AutoCloseable {

  static final int SIZE = 1 << 20;

  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final int WINDOW = 64;

  private final Transport transport =
      new VerbsTransportProvider()
          .open(new TransportContext(Map.of(), InetAddress.getLoopbackAddress(), WINDOW, 0));
  private final CompletionBuffer reports = new CompletionBuffer(WINDOW);
  private final ByteBuffer bytes = ByteBuffer.allocateDirect(SIZE);
  private final RegisteredMemory memory =
      transport.register(
          new RegionName(1, 1, RegionAccess.REMOTE_READ_WRITE),
          MemorySpan.of(bytes, NativeMemory.address(bytes)));
  private final Map<Long, Optional<P2pException>> ended = new HashMap<>();
  private @Nullable Channel channel;
  private boolean ready;
  private @Nullable P2pException failure;

  /** Connects two; what was between them before is given up. */
  static void connect(VerbsSide one, VerbsSide other) {
    PendingChannel here = one.transport.prepare(ChannelRole.CONNECTOR);
    PendingChannel there = other.transport.prepare(ChannelRole.ACCEPTOR);
    byte[] parameters = here.parameters();
    one.begin(here.complete(there.parameters()));
    other.begin(there.complete(parameters));
  }

  private void begin(Channel next) {
    channel = next;
    failure = null;
    ready = false;
    ended.clear();
    until("the channel is ready", () -> ready);
  }

  Channel channel() {
    if (channel == null) {
      throw new IllegalStateException("not connected");
    }
    return channel;
  }

  ByteBuffer bytes() {
    return bytes;
  }

  /** Writes to the other one; the operations' ids count from {@code id} on. */
  void write(VerbsSide there, long id, int count, int length) {
    OpBuffer operations = new OpBuffer(count);
    for (int i = 0; i < count; i++) {
      operations.set(
          i,
          OpBuffer.WRITE,
          memory,
          NativeMemory.address(bytes),
          0,
          length,
          there.memory.describe(0, length),
          NativeMemory.address(there.bytes));
      operations.setId(i, id + i);
    }
    assertThat(channel().post(operations, 0, count)).isEqualTo(count);
  }

  /** Closes the region; peers still have its key. */
  void closeMemory() {
    memory.close();
  }

  /** Waits for an operation; how it ended, or empty if it did well. */
  Optional<P2pException> await(long id) {
    until("operation " + id + " is reported", () -> ended.containsKey(id));
    return Optional.ofNullable(ended.remove(id)).orElseThrow();
  }

  /** Waits for the channel's failure. */
  P2pException awaitFailure() {
    until("the channel fails", () -> failure != null);
    return Objects.requireNonNull(failure);
  }

  /** Whether an operation was reported, as far as is known now. */
  boolean hasEnded(long id) {
    poll();
    return ended.containsKey(id);
  }

  private void until(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - deadline).as("waited for: %s", what).isNegative();
      if (!poll()) {
        transport.block(Duration.ofSeconds(1).toNanos());
      }
    }
  }

  private boolean poll() {
    boolean moved = transport.poll(reports);
    for (CompletionBuffer.ChannelEvent event = reports.takeChannelEvent();
        event != null;
        event = reports.takeChannelEvent()) {
      if (event.channel() == channel) {
        ready = true;
        failure = event.failure();
      }
    }
    for (int i = 0; i < reports.size(); i++) {
      assertThat(ended.put(reports.id(i), Optional.ofNullable(reports.failure(i)))).isNull();
    }
    reports.clear();
    return moved;
  }

  @Override
  public void close() {
    transport.close();
    memory.release();
    transport.release();
  }
}
