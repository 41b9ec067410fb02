package io.uccl.p2p.spi;

import io.uccl.p2p.P2pException;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * What a transport reports from {@link Transport#poll}: operations that ended, and channels that
 * became ready or failed.
 *
 * <p>A report of an operation gives its local memory back: the transport, and its hardware, touch
 * it no more. There is no report of a failure that leaves the memory in use; the engine knows when
 * an operation is overdue.
 *
 * <p>Reporting success allocates nothing. Not thread-safe.
 */
public final class CompletionBuffer {

  private final long[] ids;
  private final @Nullable P2pException[] failures;
  private final ArrayDeque<ChannelEvent> channels = new ArrayDeque<>();
  private int size;

  /**
   * A channel that became ready or failed.
   *
   * @param channel which
   * @param failure why it failed, or null if it became ready
   */
  public record ChannelEvent(Channel channel, @Nullable P2pException failure) {}

  /**
   * Makes an empty one.
   *
   * @param capacity completions that it can hold
   */
  public CompletionBuffer(int capacity) {
    ids = new long[capacity];
    failures = new @Nullable P2pException[capacity];
  }

  // -- for transports

  /** How many more completions fit. A transport that has more keeps them for the next poll. */
  public int remaining() {
    return ids.length - size;
  }

  /** Reports that an operation is done: its bytes are in place, and its local memory is free. */
  public void done(long id) {
    ids[size] = id;
    failures[size] = null;
    size++;
  }

  /** Reports that an operation failed, and that nothing touches its local memory any more. */
  public void failed(long id, P2pException failure) {
    ids[size] = id;
    failures[size] = failure;
    size++;
  }

  /** Reports that a channel can carry operations now. */
  public void ready(Channel channel) {
    channels.add(new ChannelEvent(channel, null));
  }

  /** Reports that a channel failed: once, and no later than any of its outstanding operations. */
  public void failed(Channel channel, P2pException failure) {
    channels.add(new ChannelEvent(channel, failure));
  }

  // -- for the engine

  /** How many completions there are. */
  public int size() {
    return size;
  }

  /** The id of a completed operation. */
  public long id(int index) {
    return ids[index];
  }

  /** Why an operation failed, or null if it did not. */
  public @Nullable P2pException failure(int index) {
    return failures[index];
  }

  /** Takes the next channel that became ready or failed, or null. */
  public @Nullable ChannelEvent takeChannelEvent() {
    return channels.poll();
  }

  /** Forgets the completions. */
  public void clear() {
    for (int i = 0; i < size; i++) {
      failures[i] = null;
    }
    size = 0;
  }
}
