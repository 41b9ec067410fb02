package io.uccl.p2p.conformance;

import io.uccl.p2p.P2pException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.ChannelRole;
import io.uccl.p2p.spi.CompletionBuffer;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.PendingChannel;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportCapabilities;
import java.util.IdentityHashMap;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Does what another transport does, and tells a {@link Watch} what the engine asked for. */
final class WatchedTransport implements Transport {

  private final Transport real;
  private final @Nullable Watch watch;

  /** The channels that the engine knows, by those of the real transport. */
  private final IdentityHashMap<Channel, Channel> channels = new IdentityHashMap<>();

  WatchedTransport(Transport real, @Nullable Watch watch) {
    this.real = real;
    this.watch = watch;
  }

  @Override
  public TransportCapabilities capabilities() {
    TransportCapabilities all = real.capabilities();
    return watch == null
        ? all
        : new TransportCapabilities(
            all.refusal(),
            all.targetChecks(),
            all.revokesOnClose(),
            Math.min(all.maxOperationBytes(), watch.maxOperationBytes()));
  }

  @Override
  public RegisteredMemory register(RegionName name, MemorySpan memory) {
    RegisteredMemory registered = real.register(name, memory);
    if (watch != null) {
      watch.sees(registered);
    }
    return registered;
  }

  @Override
  public PendingChannel prepare(ChannelRole role) {
    return new WatchedPendingChannel(real.prepare(role));
  }

  /** The engine has to meet its own channels in the reports. */
  @Override
  public boolean poll(CompletionBuffer into) {
    CompletionBuffer reports = new CompletionBuffer(into.remaining());
    boolean moved = real.poll(reports);
    for (CompletionBuffer.ChannelEvent event = reports.takeChannelEvent();
        event != null;
        event = reports.takeChannelEvent()) {
      Channel channel = Objects.requireNonNull(channels.get(event.channel()), "a known channel");
      if (event.failure() == null) {
        into.ready(channel);
      } else {
        into.failed(channel, event.failure());
      }
    }
    for (int i = 0; i < reports.size(); i++) {
      P2pException failure = reports.failure(i);
      if (failure == null) {
        into.done(reports.id(i));
      } else {
        into.failed(reports.id(i), failure, reports.buffer(i));
      }
    }
    return moved;
  }

  @Override
  public void block(long nanos) {
    real.block(nanos);
  }

  @Override
  public void wakeup() {
    real.wakeup();
  }

  @Override
  public void close() {
    real.close();
    channels.clear();
  }

  private final class WatchedPendingChannel implements PendingChannel {
    private final PendingChannel pending;

    WatchedPendingChannel(PendingChannel pending) {
      this.pending = pending;
    }

    @Override
    public byte[] parameters() {
      return pending.parameters();
    }

    @Override
    public Channel complete(byte[] remote) {
      Channel channel = pending.complete(remote);
      Channel watched = new WatchedChannel(channel);
      channels.put(channel, watched);
      return watched;
    }

    @Override
    public void abort() {
      pending.abort();
    }
  }

  private final class WatchedChannel implements Channel {
    private final Channel channel;

    WatchedChannel(Channel channel) {
      this.channel = channel;
    }

    @Override
    public int post(OpBuffer operations, int first, int count) {
      int taken = channel.post(operations, first, count);
      for (int i = first; watch != null && i < first + taken; i++) {
        watch.sees(operations.length(i));
      }
      return taken;
    }

    @Override
    public long progress() {
      return channel.progress();
    }

    @Override
    public void close() {
      channel.close();
    }
  }
}
