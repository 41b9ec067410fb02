package io.uccl.p2p.transport.tcp;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.CompletionBuffer;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.TransportContext;
import java.io.IOException;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongConsumer;

/** One transport, driven by hand, and the books of what it was given and what it reported. */
final class Side implements AutoCloseable {

  static final int WINDOW = 256;

  final TcpTransport transport;
  final Map<Long, Optional<P2pException>> ended = new HashMap<>();
  final Set<Channel> ready = new HashSet<>();
  final Map<Channel, P2pException> failed = new HashMap<>();
  private final CompletionBuffer completions;
  private final OpBuffer one = new OpBuffer(1);
  private final ArrayDeque<Long> underWay = new ArrayDeque<>();
  private int rids;
  long posted;

  /** Called with the id of each operation at the moment when it is reported as done. */
  LongConsumer onDone = id -> {};

  Side(int completionCapacity) {
    this(completionCapacity, WINDOW);
  }

  Side(int completionCapacity, int window) {
    transport =
        TcpTransport.open(
            new TransportContext(Map.of(), InetAddress.getLoopbackAddress(), window, 0));
    completions = new CompletionBuffer(completionCapacity);
  }

  Region region(int size) {
    return region(size, RegionAccess.REMOTE_READ_WRITE);
  }

  Region region(int size, RegionAccess access) {
    return new Region(transport, ++rids, size, access);
  }

  /** Polls once and writes down what was reported; each operation may be reported only once. */
  boolean poll() {
    boolean moved = transport.poll(completions);
    note();
    return moved;
  }

  /** Has a channel that the transport does not poll receive. */
  void receive(TcpChannel channel) {
    do {
      channel.receive(completions);
      note();
    } while (channel.hasStagedInput());
  }

  private void note() {
    for (int i = 0; i < completions.size(); i++) {
      P2pException failure = completions.failure(i);
      long id = completions.id(i);
      assertThat(ended.put(id, Optional.ofNullable(failure)))
          .as("operation %d was reported before", id)
          .isNull();
      if (failure == null) {
        onDone.accept(id);
      }
    }
    completions.clear();
    CompletionBuffer.ChannelEvent event;
    while ((event = completions.takeChannelEvent()) != null) {
      if (event.failure() == null) {
        assertThat(ready.add(event.channel())).as("ready only once").isTrue();
      } else {
        assertThat(failed.put(event.channel(), event.failure())).as("failed only once").isNull();
      }
    }
  }

  /** Posts one operation; returns its id, or -1 if the channel had no room. */
  long post(
      Channel channel,
      int opcode,
      Region local,
      long localOffset,
      long length,
      FifoDescriptor remote,
      long remoteOffset) {
    one.set(
        0,
        opcode,
        local.memory,
        local.base + localOffset,
        localOffset,
        length,
        remote,
        remote.address() + remoteOffset);
    one.setId(0, posted + 1);
    int taken = channel.post(one, 0, 1);
    assertThat(taken).isBetween(0, 1);
    if (taken == 0) {
      return -1;
    }
    underWay.add(++posted);
    return posted;
  }

  boolean allEnded() {
    return ended.size() == posted;
  }

  void shrinkSendBuffers() throws IOException {
    for (TcpChannel channel : channels()) {
      SocketChannel socket = (SocketChannel) field(channel, "socket");
      // Not the receive buffer: a window of less than a segment costs 200 ms a segment.
      socket.setOption(StandardSocketOptions.SO_SNDBUF, 4096);
    }
  }

  @SuppressWarnings("unchecked")
  Collection<TcpChannel> channels() {
    return (Collection<TcpChannel>) field(transport, "channels");
  }

  /** Nothing is left of channels that are gone. */
  void assertClean(int openChannels) {
    assertThat(channels()).as("channels").hasSize(openChannels);
    assertThat((Map<?, ?>) field(transport, "expected")).as("expected").isEmpty();
    assertThat((Collection<?>) field(transport, "scheduled")).as("scheduled").isEmpty();
    assertThat(((TcpGreetings) field(transport, "greetings")).isEmpty()).as("greetings").isTrue();
  }

  static Object field(Object object, String name) {
    try {
      Field field = object.getClass().getDeclaredField(name);
      field.setAccessible(true);
      return field.get(object);
    } catch (ReflectiveOperationException e) {
      throw new LinkageError("no field " + name, e);
    }
  }

  @Override
  public void close() {
    transport.close();
  }
}
