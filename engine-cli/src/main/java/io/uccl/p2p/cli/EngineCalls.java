package io.uccl.p2p.cli;

import io.uccl.p2p.Connection;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.TransferBatch;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/**
 * The engine's side of a row: one batch of equal blocks, posted and waited for again and again.
 *
 * <p>Used by one thread at a time.
 */
final class EngineCalls implements Side, AutoCloseable {

  private final TransferBatch batch;
  private final MemoryRegion local;
  private final FifoDescriptor remote;
  private final Shape shape;
  private final Mode mode;
  private final boolean polling;
  private final boolean rebuilding;
  private final @Nullable Checker checker;
  private final Histogram latencies = new Histogram(3);
  private final Durations preparing = new Durations();
  private final Durations posting = new Durations();
  private final Durations moving = new Durations();

  /**
   * Builds the batch.
   *
   * @param polling post and poll, instead of post and await
   * @param rebuilding fill the batch anew for every call, and time its three parts
   * @param checker looks at the bytes of every call, or null
   */
  EngineCalls(
      Connection peer,
      MemoryRegion local,
      FifoDescriptor remote,
      Shape shape,
      Mode mode,
      boolean polling,
      boolean rebuilding,
      @Nullable Checker checker) {
    this.batch = peer.newBatch(shape.numIovs());
    this.local = local;
    this.remote = remote;
    this.shape = shape;
    this.mode = mode;
    this.polling = polling;
    this.rebuilding = rebuilding;
    this.checker = checker;
    build();
  }

  @Override
  public long run(int calls) throws InterruptedException {
    long sum = 0;
    for (int i = 0; i < calls; i++) {
      if (checker != null) {
        checker.before(shape.totalBytes());
      }
      long nanos = rebuilding ? callInParts() : call();
      latencies.recordValue(nanos);
      sum += nanos;
      if (checker != null) {
        checker.after(shape.totalBytes());
      }
    }
    return sum;
  }

  /** Forgets what was recorded so far: it was for warming up. */
  void forget() {
    latencies.reset();
    preparing.clear();
    posting.clear();
    moving.clear();
  }

  /** Nanoseconds of whole calls. */
  Histogram latencies() {
    return latencies;
  }

  /** Building the batch; empty unless rebuilding. */
  Durations preparing() {
    return preparing;
  }

  /** Inside of post; empty unless rebuilding. */
  Durations posting() {
    return posting;
  }

  /** From the return of post to the first look that says done; empty unless rebuilding. */
  Durations moving() {
    return moving;
  }

  @Override
  public void close() {
    batch.close();
  }

  private long call() throws InterruptedException {
    long start = System.nanoTime();
    post();
    complete();
    return System.nanoTime() - start;
  }

  private long callInParts() throws InterruptedException {
    long start = System.nanoTime();
    batch.clear();
    build();
    long built = System.nanoTime();
    post();
    long posted = System.nanoTime();
    complete();
    long done = System.nanoTime();
    preparing.add(built - start);
    posting.add(posted - built);
    moving.add(done - posted);
    return done - start;
  }

  private void build() {
    for (int i = 0; i < shape.numIovs(); i++) {
      long offset = i * shape.size();
      if (mode == Mode.WRITE) {
        batch.write(local, offset, remote, offset, shape.size());
      } else {
        batch.read(local, offset, remote, offset, shape.size());
      }
    }
  }

  private void post() {
    if (batch.post() != PostResult.POSTED) {
      throw new IllegalStateException("a batch was refused by a connection on which nothing waits");
    }
  }

  private void complete() throws InterruptedException {
    if (polling) {
      while (!batch.poll()) {
        Thread.onSpinWait();
      }
    }
    // After a poll that said so, this returns at once; it throws what the transfer failed with.
    batch.await();
  }
}
