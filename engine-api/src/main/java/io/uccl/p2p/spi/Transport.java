package io.uccl.p2p.spi;

import io.uccl.p2p.MemoryKind;
import io.uccl.p2p.RegistrationException;

/**
 * An opened network: memory registrations, channels to peers, and their completions.
 *
 * <p><b>Threads.</b> The engine calls every method but {@link #wakeup}, {@link #capabilities} and
 * {@link #takes} from one thread at a time, with a happens-before edge between one call and the
 * next. It need not be the same thread, and a call may find the thread's interrupt flag set, which
 * must change nothing.
 *
 * <p><b>Errors.</b> No method may throw anything that it does not declare. What goes wrong later
 * comes back through {@link #poll}. A transport that cannot go on at all throws from {@code poll},
 * never from {@link #block}: the engine then fails every connection and can only be closed. After
 * {@link #close} nothing is called but {@code wakeup}, {@code close}, {@link #release}, {@link
 * RegisteredMemory#release}, and {@link RegisteredMemory#describe} by a thread that comes late.
 */
public interface Transport extends AutoCloseable {

  /** What it can promise; the same at every call. */
  TransportCapabilities capabilities();

  /**
   * Whether it can have memory of a kind registered, on machines that are made for it; by default
   * only the host's. The engine registers no other. The same at every call; any thread may call it.
   */
  default boolean takes(MemoryKind kind) {
    return kind == MemoryKind.HOST;
  }

  /**
   * Registers memory for operations of this process and of its peers.
   *
   * @param name how peers name the region; unique among the open registrations
   * @param memory stays mapped until the registration's {@link RegisteredMemory#release} has
   *     returned, if the engine allocated it; the caller's until its {@link RegisteredMemory#close}
   *     has
   * @throws RegistrationException if it cannot be registered
   */
  RegisteredMemory register(RegionName name, MemorySpan memory);

  /**
   * Starts a channel to a peer.
   *
   * @param role which side of the handshake this is
   * @throws io.uccl.p2p.TransportException if there is no room for another channel
   */
  PendingChannel prepare(ChannelRole role);

  /**
   * Makes progress without blocking and reports what came of it, until nothing is left to do at the
   * moment or the buffer is full.
   *
   * @return true if anything moved: a report, or bytes on their way
   */
  boolean poll(CompletionBuffer into);

  /**
   * Blocks until {@link #poll} has something to do, {@link #wakeup} was called since the last
   * {@code block}, or the time is over. Returns at once, or early, if the thread is interrupted,
   * and leaves the flag as it is.
   *
   * @param nanos the longest time, positive
   */
  void block(long nanos);

  /** Ends the present or the next {@link #block}. Any thread may call it, also after close. */
  void wakeup();

  /**
   * Closes all channels and registrations, quickly, and reports nothing. What takes long is left to
   * {@link #release}. Idempotent.
   */
  @Override
  void close();

  /**
   * Frees what {@link #close} left: ends what the hardware still does, and gives the hardware back.
   * When the call returns, nothing touches the memory of operations that were never reported.
   *
   * <p>Called once, after {@code close} and after the {@code release} of every registration, on the
   * engine's thread for releases; may block for long. By default does nothing.
   */
  default void release() {}
}
