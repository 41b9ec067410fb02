package io.uccl.p2p.transport.cxi;

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
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** Two transports of one process, driven by hand, and what the first of them reports. */
final class Driven implements AutoCloseable {

  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(30);
  private static final int SIZE = 1 << 20;

  final Transport here;
  final Transport there;
  final Memory local;
  final Memory remote;

  /** Operations by their ids: empty if done, else the failure. */
  final Map<Long, Optional<P2pException>> ended = new HashMap<>();

  final Map<Channel, P2pException> failed = new HashMap<>();
  private final CompletionBuffer reports = new CompletionBuffer(64);
  private final CompletionBuffer theirs = new CompletionBuffer(64);
  private final OpBuffer one = new OpBuffer(1);
  private long lastId;

  /** Memory and its registration. */
  record Memory(NativeMemory.Allocation allocation, RegisteredMemory registered) {
    MemorySpan span() {
      return allocation.span();
    }

    FifoDescriptor descriptor() {
      return registered.describe(0, span().length());
    }
  }

  Driven(Map<String, String> environment) {
    TransportContext context =
        new TransportContext(environment, InetAddress.getLoopbackAddress(), 32, 0);
    here = new CxiTransportProvider().open(context);
    there = new CxiTransportProvider().open(context);
    local = register(here, 1);
    remote = register(there, 2);
  }

  static Memory register(Transport transport, int rid) {
    NativeMemory.Allocation allocation = NativeMemory.allocate(SIZE);
    return new Memory(
        allocation,
        transport.register(
            new RegionName(rid, rid, RegionAccess.REMOTE_READ_WRITE), allocation.span()));
  }

  /** A channel from here to there, reported as ready. */
  Channel connect() {
    PendingChannel mine = here.prepare(ChannelRole.CONNECTOR);
    PendingChannel other = there.prepare(ChannelRole.ACCEPTOR);
    Channel channel = mine.complete(other.parameters());
    other.abort();
    poll();
    return channel;
  }

  /** Posts a write of the first bytes; its id, or -1 if there was no room. */
  long write(Channel channel, Memory from, FifoDescriptor to, int length) {
    one.set(
        0, OpBuffer.WRITE, from.registered(), from.span().address(), 0, length, to, to.address());
    one.setId(0, lastId + 1);
    return channel.post(one, 0, 1) == 1 ? ++lastId : -1;
  }

  /** Writes, again and again while there is no room, and returns how that ended. */
  Optional<P2pException> written(Channel channel, Memory from, FifoDescriptor to, int length) {
    long[] id = {-1};
    until(
        () -> {
          id[0] = write(channel, from, to, length);
          return id[0] > 0;
        });
    until(() -> ended.containsKey(id[0]));
    return ended.get(id[0]);
  }

  /** Drives both sides until something holds. */
  void until(BooleanSupplier condition) {
    long deadline = System.nanoTime() + PATIENCE_NANOS;
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime() - deadline).as("waited for long enough").isNegative();
      poll();
    }
  }

  /** Drives both sides once. */
  void poll() {
    there.poll(theirs);
    theirs.clear();
    while (theirs.takeChannelEvent() != null) {
      // The other side only serves.
    }
    here.poll(reports);
    CompletionBuffer.ChannelEvent event;
    while ((event = reports.takeChannelEvent()) != null) {
      if (event.failure() != null) {
        assertThat(failed.put(event.channel(), event.failure())).as("failed only once").isNull();
      }
    }
    for (int i = 0; i < reports.size(); i++) {
      Optional<P2pException> how = Optional.ofNullable(reports.failure(i));
      assertThat(ended.put(reports.id(i), how)).as("reported only once").isNull();
    }
    reports.clear();
  }

  @Override
  public void close() {
    end(here, local);
    end(there, remote);
  }

  private static void end(Transport transport, Memory memory) {
    transport.close();
    memory.registered().release();
    transport.release();
    memory.allocation().close();
  }
}
