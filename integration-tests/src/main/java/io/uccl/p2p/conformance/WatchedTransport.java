package io.uccl.p2p.conformance;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryKind;
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
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Does what another transport does, tells a {@link Watch} what the engine asked for, and keeps back
 * what the watch wants kept back.
 */
final class WatchedTransport implements Transport {

  private final Transport real;
  private final @Nullable Watch watch;

  /** The channels that the engine knows, by those of the real transport. */
  private final IdentityHashMap<Channel, Channel> channels = new IdentityHashMap<>();

  /** Operations whose reports are kept back, and those of their reports that have come. */
  private final Set<Long> withheld = new HashSet<>();

  private final ArrayDeque<Report> kept = new ArrayDeque<>();
  private int reportingsSeen;

  private record Report(long id, @Nullable P2pException failure) {}

  WatchedTransport(Transport real, @Nullable Watch watch) {
    this.real = real;
    this.watch = watch;
    if (watch != null) {
      watch.wakeBy(real::wakeup);
      reportingsSeen = watch.reportings();
    }
  }

  @Override
  public TransportCapabilities capabilities() {
    TransportCapabilities all = real.capabilities();
    return watch == null
        ? all
        : new TransportCapabilities(
            all.refusal(),
            all.targetChecks(),
            watch.isUncancellable() ? TransportCapabilities.Expiry.STAYS_IN_USE : all.expiry(),
            all.revokesOnClose(),
            Math.min(all.maxOperationBytes(), watch.maxOperationBytes()));
  }

  @Override
  public boolean takes(MemoryKind kind) {
    return real.takes(kind);
  }

  @Override
  public RegisteredMemory register(RegionName name, MemorySpan memory) {
    WatchedMemory registered = new WatchedMemory(real.register(name, memory));
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
    boolean moved = reportKept(into);
    CompletionBuffer reports = new CompletionBuffer(into.remaining());
    moved |= real.poll(reports);
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
      Report report = new Report(reports.id(i), reports.failure(i));
      if (withheld.contains(report.id())) {
        kept.add(report);
      } else {
        report(report, into);
      }
    }
    return moved;
  }

  private boolean reportKept(CompletionBuffer into) {
    if (!mayReport()) {
      return false;
    }
    while (!kept.isEmpty() && into.remaining() > 0) {
      Report report = kept.remove();
      withheld.remove(report.id());
      report(report, into);
    }
    if (kept.isEmpty() && watch != null) {
      reportingsSeen = watch.reportings();
      withheld.clear();
    }
    return true;
  }

  private boolean mayReport() {
    return watch != null && watch.reportings() != reportingsSeen;
  }

  private static void report(Report report, CompletionBuffer into) {
    if (report.failure() == null) {
      into.done(report.id());
    } else {
      into.failed(report.id(), report.failure());
    }
  }

  @Override
  public void block(long nanos) {
    if (!mayReport()) {
      real.block(nanos);
    }
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

  @Override
  public void release() {
    if (watch != null) {
      watch.awaitRelease();
    }
    real.release();
  }

  private final class WatchedMemory implements RegisteredMemory {
    private final RegisteredMemory memory;

    WatchedMemory(RegisteredMemory memory) {
      this.memory = memory;
    }

    @Override
    public FifoDescriptor describe(long offset, long length) {
      return memory.describe(offset, length);
    }

    @Override
    public long localKey() {
      return memory.localKey();
    }

    @Override
    public void close() {
      memory.close();
    }

    @Override
    public void release() {
      if (watch != null) {
        watch.awaitRelease();
      }
      memory.release();
    }
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
    public boolean answersWhenReady() {
      return pending.answersWhenReady();
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
      int taken = channel.post(withRealMemory(operations, first, count), 0, count);
      for (int i = first; watch != null && i < first + taken; i++) {
        if (watch.isWithholding()) {
          withheld.add(operations.id(i));
        }
        // Last: whoever waits for it may end the withholding at once.
        watch.sees(operations.length(i));
      }
      return taken;
    }

    /** The real transport has to meet its own memory in the slots. */
    private static OpBuffer withRealMemory(OpBuffer operations, int first, int count) {
      OpBuffer real = new OpBuffer(count);
      byte[] descriptor = new byte[FifoDescriptor.BYTES];
      ByteBuffer slots = operations.slots();
      for (int i = 0; i < count; i++) {
        int slot = (first + i) * OpBuffer.SLOT_BYTES;
        slots.get(slot + OpBuffer.SLOT_BYTES - FifoDescriptor.BYTES, descriptor);
        real.set(
            i,
            operations.opcode(first + i),
            ((WatchedMemory) operations.memory(first + i)).memory,
            slots.getLong(slot + 16),
            operations.localOffset(first + i),
            operations.length(first + i),
            FifoDescriptor.decode(descriptor),
            operations.remoteAddress(first + i));
        real.setId(i, operations.id(first + i));
      }
      return real;
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
