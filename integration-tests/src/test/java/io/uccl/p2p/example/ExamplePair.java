package io.uccl.p2p.example;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
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
import io.uccl.p2p.spi.TransportProvider;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * Two opened transports with a channel between them, driven by the test's thread in the engine's
 * place. Each side keeps what its transport reports.
 */
final class ExamplePair implements AutoCloseable {

  static final int WINDOW = 256;
  static final long ADDRESS = 0x1000;
  static final long IDX = 7L << 32 | 1;

  /** One of the two. */
  static final class Side {
    final Transport transport;
    final CompletionBuffer buffer;
    final Map<Long, Optional<P2pException>> results = new LinkedHashMap<>();
    final List<CompletionBuffer.ChannelEvent> events = new ArrayList<>();

    Side(Transport transport, int completions) {
      this.transport = transport;
      this.buffer = new CompletionBuffer(completions);
    }

    /** Polls once, and insists that nothing is reported twice. */
    boolean poll() {
      boolean moved = transport.poll(buffer);
      for (int i = 0; i < buffer.size(); i++) {
        assertThat(results.put(buffer.id(i), Optional.ofNullable(buffer.failure(i))))
            .as("an earlier report of operation %s", buffer.id(i))
            .isNull();
      }
      buffer.clear();
      CompletionBuffer.ChannelEvent event;
      while ((event = buffer.takeChannelEvent()) != null) {
        events.add(event);
      }
      return moved;
    }

    RegisteredMemory register(int rid, RegionAccess access, ByteBuffer bytes) {
      return transport.register(new RegionName(rid, IDX, access), MemorySpan.of(bytes, ADDRESS));
    }
  }

  final Side here;
  final Side there;
  final PendingChannel dialling;
  final PendingChannel waiting;
  private Channel connector;
  private Channel acceptor;

  /**
   * Opens both.
   *
   * @param completions how many completions a poll may report
   */
  ExamplePair(TransportProvider provider, Path directory, int completions) {
    TransportContext context =
        new TransportContext(
            Map.of("UNIX_P2P_DIR", directory.toString()),
            InetAddress.getLoopbackAddress(),
            WINDOW,
            0);
    here = new Side(provider.open(context), completions);
    there = new Side(provider.open(context), completions);
    dialling = here.transport.prepare(ChannelRole.CONNECTOR);
    waiting = there.transport.prepare(ChannelRole.ACCEPTOR);
  }

  /** The channel of {@link #here}, made when first asked for. */
  Channel channel() {
    if (connector == null) {
      acceptor = waiting.complete(dialling.parameters());
      connector = dialling.complete(waiting.parameters());
      until(() -> here.events.size() + there.events.size() == 2);
      assertThat(here.events).containsExactly(new CompletionBuffer.ChannelEvent(connector, null));
      assertThat(there.events).containsExactly(new CompletionBuffer.ChannelEvent(acceptor, null));
      here.events.clear();
      there.events.clear();
    }
    return connector;
  }

  /** The channel of {@link #there}. */
  Channel acceptor() {
    channel();
    return acceptor;
  }

  /** Posts operations on the whole of the descriptor; their ids are 1, 2, 3 ... */
  void post(int opcode, int count, RegisteredMemory local, FifoDescriptor remote) {
    OpBuffer slots = new OpBuffer(count);
    for (int i = 0; i < count; i++) {
      slots.set(i, opcode, local, ADDRESS, 0, remote.length(), remote, remote.address());
      slots.setId(i, i + 1);
    }
    assertThat(channel().post(slots, 0, count)).isEqualTo(count);
  }

  /** Drives both until something is true. */
  void until(BooleanSupplier condition) {
    long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - limit).as("30 s have passed").isNegative();
      boolean moved = here.poll();
      moved |= there.poll();
      if (!moved) {
        Thread.onSpinWait();
      }
    }
  }

  @Override
  public void close() {
    here.transport.close();
    there.transport.close();
  }
}
