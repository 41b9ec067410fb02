package io.uccl.p2p.engine;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.spi.OpBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A vector of operations on its way from the caller to the transport and back. A single transfer is
 * a batch of one.
 *
 * <p>The caller fills it and, by posting, hands it to the owner of the transport; the owner posts,
 * counts completions and hands it back by setting the status. So no field needs a lock: those of
 * the caller are written while it is not in flight, those of the owner while it is.
 *
 * <p>A batch that was given up has ended for the caller, and is the owner's all the same until the
 * last late report: {@code inUse}, which the owner clears last, keeps the caller from changing it.
 */
final class OperationBatch extends Submission implements TransferBatch, ProgressLoop.Awaited {

  private static final byte PENDING = 0;
  private static final byte DONE = 1;
  private static final byte FAILED = 2;

  private final DefaultConnection connection;
  private final OpBuffer operations;
  private final @Nullable DefaultMemoryRegion[] regions;
  private final byte[] results;
  private final int[] parts;

  // -- the caller's
  private int size;
  private int postedSize;
  private boolean closed;
  private long since;
  private long deadline;
  private boolean bounded;

  // -- the owner's
  private int next;
  private long nextOffset;
  private int outstanding;
  private int failedIndex;
  private @Nullable P2pException cause;
  private int late;
  // Of the connection, when all is reported that the transport had beside what it has of this batch
  // when that changed last.
  private long reportsBeside;
  private long lastNotOvertaken;
  @Nullable OperationBatch previousLive;
  @Nullable OperationBatch nextLive;

  private @Nullable List<NotificationSender.Held> after;
  private boolean live;
  private boolean endedWell;

  // -- both
  private volatile TransferStatus status = TransferStatus.IDLE;
  private volatile @Nullable Thread waiter;
  // True after the end while the transport still has operations of it. Apart from the status,
  // because it changes only where something was given up.
  private volatile boolean inUse;

  OperationBatch(DefaultConnection connection, int capacity) {
    this.connection = connection;
    operations = new OpBuffer(capacity);
    regions = new @Nullable DefaultMemoryRegion[capacity];
    results = new byte[capacity];
    parts = new int[capacity];
  }

  // -- the caller's side

  @Override
  public int capacity() {
    return regions.length;
  }

  @Override
  public int size() {
    return size;
  }

  @Override
  public OperationBatch write(
      MemoryRegion local, long localOffset, FifoDescriptor remote, long remoteOffset, long length) {
    return add(OpBuffer.WRITE, local, localOffset, remote, remoteOffset, length);
  }

  @Override
  public OperationBatch read(
      MemoryRegion local, long localOffset, FifoDescriptor remote, long remoteOffset, long length) {
    return add(OpBuffer.READ, local, localOffset, remote, remoteOffset, length);
  }

  OperationBatch add(
      int opcode,
      MemoryRegion local,
      long localOffset,
      FifoDescriptor remote,
      long remoteOffset,
      long length) {
    checkChangeable();
    if (size == regions.length) {
      throw new IllegalStateException("the batch is full: it holds " + size + " operations");
    }
    DefaultMemoryRegion region = connection.ownRegion(local);
    region.checkOpen();
    checkRange("local", localOffset, length, region.length());
    checkRange("remote", remoteOffset, length, remote.length());
    connection.checkLife(remote);
    operations.set(
        size,
        opcode,
        region.registered(),
        region.address() + localOffset,
        localOffset,
        length,
        remote,
        remote.address() + remoteOffset);
    regions[size++] = region;
    return this;
  }

  @Override
  public OperationBatch clear() {
    checkChangeable();
    operations.clear();
    Arrays.fill(regions, 0, size, null);
    size = 0;
    status = TransferStatus.IDLE;
    return this;
  }

  @Override
  public PostResult post() {
    return post(0L);
  }

  @Override
  public PostResult post(Duration limit) {
    if (limit.isNegative() || limit.isZero()) {
      throw new IllegalArgumentException("a deadline must be positive, but is " + limit);
    }
    return post(Nanos.of(limit));
  }

  private PostResult post(long limitNanos) {
    checkChangeable();
    if (!connection.reserve(size)) {
      return PostResult.BACK_PRESSURED;
    }
    start(limitNanos);
    return PostResult.POSTED;
  }

  /** Posts without asking for room. */
  void start(long limitNanos) {
    postedSize = size;
    bounded = limitNanos > 0;
    since = System.nanoTime();
    lastNotOvertaken = since;
    deadline = since + limitNanos;
    Arrays.fill(results, 0, size, PENDING);
    next = 0;
    nextOffset = 0;
    outstanding = 0;
    failedIndex = -1;
    cause = null;
    status = TransferStatus.IN_FLIGHT;
    connection.loop().submit(this);
  }

  @Override
  public TransferStatus status() {
    return status;
  }

  @Override
  public TransferStatus status(int index) {
    Objects.checkIndex(index, size);
    TransferStatus whole = status;
    if (whole == TransferStatus.IDLE || whole == TransferStatus.IN_FLIGHT) {
      return whole;
    }
    if (index >= postedSize) {
      // Added after the batch ended.
      return TransferStatus.IDLE;
    }
    return results[index] == DONE ? TransferStatus.DONE : TransferStatus.FAILED;
  }

  @Override
  public boolean poll() {
    if (status == TransferStatus.IN_FLIGHT) {
      connection.loop().poll();
    }
    return status != TransferStatus.IN_FLIGHT;
  }

  @Override
  public void await() throws InterruptedException {
    await(false, 0);
  }

  @Override
  public boolean await(Duration timeout) throws InterruptedException {
    return await(true, System.nanoTime() + Nanos.of(timeout));
  }

  private boolean await(boolean waitBounded, long waitDeadline) throws InterruptedException {
    if (status == TransferStatus.IDLE) {
      throw new IllegalStateException("the batch was not posted, so there is nothing to wait for");
    }
    if (!connection.loop().await(this, waitBounded, waitDeadline)) {
      return false;
    }
    if (status == TransferStatus.FAILED) {
      throw Objects.requireNonNull(failure());
    }
    return true;
  }

  @Override
  public @Nullable P2pException failure() {
    if (status != TransferStatus.FAILED || cause == null) {
      return null;
    }
    return cause.withDetail(detail(cause.detail(), failedIndex));
  }

  @Override
  public BufferState buffer() {
    return status == TransferStatus.IN_FLIGHT || inUse ? BufferState.IN_USE : BufferState.FREE;
  }

  @Override
  public void close() {
    if (status == TransferStatus.IN_FLIGHT) {
      throw new IllegalStateException("a batch in flight cannot be closed; wait for it first");
    }
    closed = true;
    if (!inUse) {
      operations.clear();
      Arrays.fill(regions, null);
      size = 0;
    }
  }

  @Override
  public boolean isOver() {
    return status != TransferStatus.IN_FLIGHT;
  }

  @Override
  public void waiter(@Nullable Thread thread) {
    waiter = thread;
  }

  private void checkChangeable() {
    if (closed) {
      throw new IllegalStateException("the batch is closed");
    }
    if (status == TransferStatus.IN_FLIGHT) {
      throw new IllegalStateException("the batch is in flight; wait for it first");
    }
    if (inUse) {
      throw new IllegalStateException(
          "the batch was given up and its memory is still in use; wait until its buffer is FREE, or"
              + " make another batch");
    }
  }

  private static void checkRange(String which, long offset, long length, long available) {
    if (offset < 0 || length < 0 || offset > available || length > available - offset) {
      throw new IndexOutOfBoundsException(
          "the "
              + which
              + " range of "
              + length
              + " bytes at offset "
              + offset
              + " does not fit into "
              + available
              + " bytes");
    }
  }

  // -- the owner's side

  @Override
  void execute() {
    connection.enqueue(this);
  }

  DefaultConnection connection() {
    return connection;
  }

  int count() {
    return size;
  }

  OpBuffer operations() {
    return operations;
  }

  /** The first operation that is not wholly posted. */
  int next() {
    return next;
  }

  /** How much of it is posted. */
  long nextOffset() {
    return nextOffset;
  }

  boolean isPosted() {
    return next == size;
  }

  int outstanding() {
    return outstanding;
  }

  boolean isBounded() {
    return bounded;
  }

  boolean isExpired(long now) {
    return bounded && deadline - now <= 0;
  }

  /** Whether nothing has moved for a time, neither since it was posted nor since some instant. */
  boolean isStalled(long now, long lastProgress, long limitNanos) {
    return now - since >= limitNanos && now - lastProgress >= limitNanos;
  }

  /**
   * Whether for a time nothing of what the transport has of it was reported, while all that the
   * transport had with it was, and some of what came later. To be asked with each look at the
   * clock.
   */
  boolean isOvertaken(long now, long limitNanos) {
    if (outstanding == 0 || connection.reports() <= reportsBeside) {
      lastNotOvertaken = now;
    }
    return now - lastNotOvertaken >= limitNanos;
  }

  /** Counts whole operations as posted. */
  void posted(int count) {
    for (int i = next; i < next + count; i++) {
      parts[i] = 1;
    }
    next += count;
    outstanding += count;
    moved();
  }

  /** Counts a part of the next operation as posted. */
  void postedPart(long length) {
    parts[next] = nextOffset == 0 ? 1 : parts[next] + 1;
    nextOffset += length;
    outstanding++;
    moved();
    if (nextOffset == operations.length(next)) {
      next++;
      nextOffset = 0;
    }
  }

  /** Counts an operation, or a part of one, as done. */
  void done(int index) {
    outstanding--;
    moved();
    if (--parts[index] == 0 && index < next && results[index] == PENDING) {
      results[index] = DONE;
    }
  }

  /** Counts an operation, or a part of one, as failed. The first cause stays. */
  void failed(int index, P2pException failure) {
    outstanding--;
    moved();
    parts[index]--;
    results[index] = FAILED;
    note(index, failure);
  }

  /** What the transport has of it has changed; the connection has counted that already. */
  private void moved() {
    reportsBeside = connection.reports() + connection.inFlight() - outstanding;
  }

  /** Fails everything that is not posted yet. */
  void failUnposted(P2pException failure) {
    if (next < size) {
      note(next, failure);
      Arrays.fill(results, next, size, FAILED);
      next = size;
      nextOffset = 0;
    }
  }

  /** Fails the next operation, or what is left of it. */
  void failNext(P2pException failure) {
    note(next, failure);
    results[next] = FAILED;
    next++;
    nextOffset = 0;
  }

  /** Fails what is outstanding. The transport still has it, so its memory is in use. */
  void giveUp(P2pException failure) {
    for (int i = 0; i < size; i++) {
      if (results[i] == PENDING) {
        results[i] = FAILED;
        note(i, failure);
      }
    }
    late = outstanding;
    outstanding = 0;
    inUse = late > 0;
  }

  /** Of what was given up, how much the transport has not reported. */
  int outstandingLate() {
    return late;
  }

  /** Whether it was given up, and the transport still has something of it. */
  boolean isLate() {
    return late > 0;
  }

  /** Counts an operation that was given up, or a part of one; returns true if it was the last. */
  boolean reportedLate(int index) {
    parts[index]--;
    return --late == 0;
  }

  /** Nothing touches its memory any more, and the caller may use the batch again. */
  void free() {
    late = 0;
    inUse = false;
  }

  /** Index of an operation whose region is closed, or -1. */
  int indexOfClosedRegion() {
    for (int i = 0; i < size; i++) {
      DefaultMemoryRegion region = regions[i];
      if (region != null && region.isClosed()) {
        return i;
      }
    }
    return -1;
  }

  /** Fails all because of a region that was closed before the batch was posted. */
  void failClosedRegion(int index) {
    P2pException failure =
        new ResourceClosedException(
            regions[index] + " was closed before the operation was posted",
            FailureDetail.remedy("Close a region after the last transfer that uses it was posted"));
    Arrays.fill(results, 0, size, FAILED);
    next = size;
    note(index, failure);
  }

  /** Whether an operation uses a region: one to come, or one that the transport has. */
  boolean uses(DefaultMemoryRegion region) {
    for (int i = 0; i < size; i++) {
      if (uses(region, i)) {
        return true;
      }
    }
    return false;
  }

  /** Adds the operations that use a region. */
  void collect(RegionUses uses) {
    for (int i = 0; i < size; i++) {
      if (uses(uses.region(), i)) {
        uses.add(this, i);
      }
    }
  }

  private boolean uses(DefaultMemoryRegion region, int index) {
    return regions[index] == region && (results[index] == PENDING || parts[index] > 0);
  }

  /**
   * An operation and where it goes, such as {@code write of 64 bytes at offset 0 to 10.0.0.1:7}.
   */
  String describeUse(int index) {
    boolean write = operations.opcode(index) == OpBuffer.WRITE;
    return (write ? "write of " : "read of ")
        + operations.length(index)
        + " bytes at offset "
        + operations.localOffset(index)
        + (write ? " to " : " from ")
        + connection.remote()
        + (isLate() ? " (given up)" : "");
  }

  /** Sends a notification when it has ended well, which may be now. */
  void sendAfter(NotificationSender.Held notification) {
    // Not by the status: the caller may have cleared or posted the batch again in the meantime.
    if (live) {
      if (after == null) {
        after = new ArrayList<>();
      }
      after.add(notification);
    } else {
      connection.follow(notification, endedWell);
    }
  }

  /** The owner has taken it. */
  void taken() {
    live = true;
  }

  /** Hands it back to the caller. */
  void finish() {
    if (after != null) {
      for (NotificationSender.Held notification : after) {
        connection.follow(notification, cause == null);
      }
      after = null;
    }
    live = false;
    endedWell = cause == null;
    status = cause == null ? TransferStatus.DONE : TransferStatus.FAILED;
    Thread thread = waiter;
    if (thread != null) {
      LockSupport.unpark(thread);
    }
  }

  private void note(int index, P2pException failure) {
    if (cause == null) {
      cause = failure;
      failedIndex = index;
    }
  }

  private FailureDetail detail(FailureDetail known, int index) {
    boolean write = operations.opcode(index) == OpBuffer.WRITE;
    long from = operations.remoteAddress(index);
    long length = operations.length(index);
    String what =
        (write ? "write" : "read") + " of " + length + " bytes, operation " + index + " of " + size;
    String where =
        "remote 0x"
            + Long.toHexString(from)
            + " to 0x"
            + Long.toHexString(from + length)
            + " (region "
            + Integer.toUnsignedString(operations.remoteRid(index))
            + "), local "
            + regions[index]
            + " at "
            + operations.localOffset(index);
    return connection.detail(known).withOperation(what, where);
  }
}
