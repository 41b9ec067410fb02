package io.uccl.p2p;

import java.time.Duration;

/**
 * A vector of operations on one connection that is filled once and posted as often as wanted.
 *
 * <p>This is the hot path: posting, polling and waiting allocate nothing. The operations lie
 * off-heap in the form in which transports take them.
 *
 * <p><b>Threads.</b> One thread at a time. While it is in flight a batch can only be polled and
 * waited for. After a failure that leaves its {@link #buffer()} in use it can only be closed, until
 * the buffer is free.
 *
 * <pre>{@code
 * try (TransferBatch batch = peer.newBatch(128)) {
 *   for (int i = 0; i < 128; i++) {
 *     batch.write(kv, i * BLOCK, there, i * BLOCK, BLOCK);
 *   }
 *   while (running) {
 *     batch.post();
 *     batch.await();
 *   }
 * }
 * }</pre>
 */
public interface TransferBatch extends Transfer, AutoCloseable {

  /** Operations it can hold. */
  int capacity();

  /** Operations it holds. */
  int size();

  /**
   * Adds a write, see {@link Connection#write(MemoryRegion, long, FifoDescriptor, long, long)} for
   * parameters and errors.
   *
   * @return this batch
   * @throws IllegalStateException if the batch is full, in flight, in use or closed
   */
  TransferBatch write(
      MemoryRegion local, long localOffset, FifoDescriptor remote, long remoteOffset, long length);

  /**
   * Adds a read, see {@link Connection#read(MemoryRegion, long, FifoDescriptor, long, long)} for
   * parameters and errors.
   *
   * @return this batch
   * @throws IllegalStateException if the batch is full, in flight, in use or closed
   */
  TransferBatch read(
      MemoryRegion local, long localOffset, FifoDescriptor remote, long remoteOffset, long length);

  /**
   * Takes all operations out.
   *
   * @return this batch
   * @throws IllegalStateException if the batch is in flight, in use or closed
   */
  TransferBatch clear();

  /**
   * Posts all operations, with the engine's default deadline: 30 seconds without progress.
   *
   * <p>On a connection that has failed the batch is taken, and ends at once with the connection's
   * failure. An empty batch is done at once.
   *
   * @return {@link PostResult#BACK_PRESSURED} if the connection has more than {@link
   *     EngineConfig#maxQueuedOperations()} operations waiting; the batch was not taken then
   * @throws IllegalStateException if the batch is in flight, in use or closed
   */
  PostResult post();

  /**
   * Posts all operations, to be done within a time.
   *
   * @param deadline from now on; when it has passed the batch fails with {@link
   *     DeadlineExceededException}
   * @return as {@link #post()}
   * @throws IllegalStateException if the batch is in flight, in use or closed
   * @throws IllegalArgumentException if the deadline is not positive
   */
  PostResult post(Duration deadline);

  /**
   * How one operation of the last post ended; {@link TransferStatus#IDLE} for one that was added
   * since.
   *
   * @throws IndexOutOfBoundsException if there is no such operation
   */
  TransferStatus status(int index);

  /**
   * Gives the off-heap memory back. A batch in flight cannot be closed.
   *
   * @throws IllegalStateException if the batch is in flight
   */
  @Override
  void close();
}
