package io.uccl.p2p.engine;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.spi.Availability;
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
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * A network in a test's hands, on which nothing can be ended: it takes operations, and reports each
 * when the test says so, and not even a close of its channel changes that. For one engine.
 */
final class HeldTransport implements TransportProvider, Transport {

  private static final String NAME = "held";

  /** Ids of the operations that were taken, in order. */
  final BlockingQueue<Long> taken = new LinkedBlockingQueue<>();

  /** What was closed and released, in order. */
  final Queue<String> events = new ConcurrentLinkedQueue<>();

  /** Whether it takes no operations. */
  volatile boolean full;

  /** Whether no channel that is completed now becomes ready. */
  volatile boolean silent;

  /** Whether a C++ engine may be its peer. */
  boolean sharesHandshake;

  /** What the release of a region does. */
  volatile Runnable onRelease = () -> {};

  /** What the close of a region does. */
  volatile Runnable onClose = () -> {};

  /** What the preparation of a channel does. */
  volatile Runnable onPrepare = () -> {};

  private final Queue<Channel> ready = new ConcurrentLinkedQueue<>();
  private final Queue<Long> done = new ConcurrentLinkedQueue<>();
  private final Queue<Runnable> refusals = new ConcurrentLinkedQueue<>();
  final Queue<Channel> channels = new ConcurrentLinkedQueue<>();
  private final Semaphore wakeups = new Semaphore(0);

  /** How an engine is opened on it. */
  TransportSelector.Selection selection() {
    return new TransportSelector.Selection(
        this,
        new TransportChoice(NAME, "a test holds it", List.of()),
        List.of(),
        Map.of(handshakeMagic(), NAME));
  }

  /**
   * Reports, next time, that the peer refused all operations, which broke their channels.
   *
   * @param before runs just before it is reported
   */
  void refuse(Runnable before) {
    refusals.add(before);
    wakeup();
  }

  /** Reports an operation as done, next time. */
  void report(long id) {
    done.add(id);
    wakeup();
  }

  // -- TransportProvider

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public int handshakeMagic() {
    return 'H' | 'E' << 8 | 'L' << 16 | 'D' << 24;
  }

  @Override
  public boolean sharesHandshake() {
    return sharesHandshake;
  }

  @Override
  public Availability probe(Map<String, String> environment) {
    return Availability.available("memory");
  }

  @Override
  public Transport open(TransportContext context) {
    return this;
  }

  // -- Transport

  @Override
  public TransportCapabilities capabilities() {
    return new TransportCapabilities(
        TransportCapabilities.Refusal.PER_OPERATION,
        TransportCapabilities.TargetChecks.NIC_KEY,
        TransportCapabilities.Expiry.STAYS_IN_USE,
        true,
        Long.MAX_VALUE);
  }

  @Override
  public RegisteredMemory register(RegionName name, MemorySpan memory) {
    return new RegisteredMemory() {
      @Override
      public FifoDescriptor describe(long offset, long length) {
        return FifoDescriptor.of(
            memory.address() + offset, length, 0, name.rid(), name.idx(), 0, 0, 0);
      }

      @Override
      public void close() {
        onClose.run();
        events.add("close region " + name.rid());
      }

      @Override
      public void release() {
        onRelease.run();
        events.add("release region " + name.rid() + onReaper());
      }
    };
  }

  private static String onReaper() {
    return Thread.currentThread().getName().equals("p2p-reaper-held") ? "" : " elsewhere";
  }

  @Override
  public PendingChannel prepare(ChannelRole role) {
    onPrepare.run();
    return new PendingChannel() {
      @Override
      public byte[] parameters() {
        return new byte[] {1};
      }

      @Override
      public Channel complete(byte[] remote) {
        Channel channel = new HeldChannel();
        if (!silent) {
          ready.add(channel);
        }
        // Last: whoever waits for it may end the silence at once.
        channels.add(channel);
        return channel;
      }

      @Override
      public void abort() {}
    };
  }

  @Override
  public boolean poll(CompletionBuffer into) {
    boolean moved = false;
    for (Channel channel = ready.poll(); channel != null; channel = ready.poll()) {
      into.ready(channel);
      moved = true;
    }
    while (into.remaining() > 0 && !done.isEmpty()) {
      into.done(done.remove());
      moved = true;
    }
    for (Runnable before = refusals.poll(); before != null; before = refusals.poll()) {
      before.run();
      P2pException refusal = new RemoteAccessException("refused", FailureDetail.NONE);
      channels.forEach(channel -> into.failed(channel, refusal));
      taken.forEach(id -> into.failed(id, refusal));
      taken.clear();
      moved = true;
    }
    return moved;
  }

  @Override
  public void block(long nanos) {
    try {
      if (ready.isEmpty()
          && done.isEmpty()
          && refusals.isEmpty()
          && wakeups.tryAcquire(nanos, TimeUnit.NANOSECONDS)) {
        wakeups.drainPermits();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void wakeup() {
    wakeups.release();
  }

  @Override
  public void close() {
    events.add("close transport");
  }

  @Override
  public void release() {
    events.add("release transport" + onReaper());
  }

  private final class HeldChannel implements Channel {

    @Override
    public int post(OpBuffer operations, int first, int count) {
      int room = full ? 0 : count;
      for (int i = first; i < first + room; i++) {
        taken.add(operations.id(i));
      }
      return room;
    }

    @Override
    public long progress() {
      return 0;
    }

    @Override
    public void close() {}
  }
}
