package io.uccl.p2p.engine;

import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.PeerUnreachableException;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/** One kept connection a peer: made once, however many ask for it, and made anew when it ended. */
final class Peers {

  private final ConcurrentHashMap<EndpointMetadata, Entry> kept = new ConcurrentHashMap<>();

  /** Makes a connection within a time. */
  interface Connector {
    DefaultConnection connect(Duration timeout) throws InterruptedException;
  }

  /**
   * Keeps an incoming connection, unless there is an open one already. While one is being made, the
   * incoming one stands by for the case that this fails.
   */
  void keep(DefaultConnection connection) {
    kept.compute(
        connection.remote(),
        (peer, there) -> {
          if (there == null || there.isOver()) {
            return Entry.of(connection);
          }
          if (!there.isDone()) {
            there.meanwhile = connection;
          }
          return there;
        });
  }

  /** The open connection to a peer, or a new one. */
  DefaultConnection connectOrGet(EndpointMetadata peer, Duration timeout, Connector connector)
      throws InterruptedException {
    long deadline = System.nanoTime() + Nanos.of(timeout);
    while (true) {
      Entry mine = new Entry();
      Entry existing = kept.putIfAbsent(peer, mine);
      long left = Math.max(0, deadline - System.nanoTime());
      if (existing == null) {
        return connect(peer, mine, connector, Duration.ofNanos(left));
      }
      try {
        DefaultConnection connection = existing.get(left, TimeUnit.NANOSECONDS);
        if (connection.isOpen()) {
          return connection;
        }
        kept.remove(peer, existing);
      } catch (ExecutionException e) {
        // Whoever tried before has told its own caller why that failed; this caller tries itself.
        kept.remove(peer, existing);
      } catch (TimeoutException e) {
        throw new PeerUnreachableException(
            "another thread connects to the peer, and did not succeed in time",
            FailureDetail.NONE.withPeer(peer.toString()),
            e);
      }
    }
  }

  private DefaultConnection connect(
      EndpointMetadata peer, Entry mine, Connector connector, Duration left)
      throws InterruptedException {
    try {
      DefaultConnection connection = connector.connect(left);
      mine.complete(connection);
      return connection;
    } catch (RuntimeException | Error | InterruptedException e) {
      kept.computeIfPresent(peer, (same, there) -> there == mine ? mine.instead() : there);
      mine.completeExceptionally(e);
      throw e;
    }
  }

  /** Forgets a peer and returns its connection, or null if there is none. */
  @Nullable DefaultConnection remove(EndpointMetadata peer) {
    Entry entry = kept.get(peer);
    if (entry == null || !entry.isMade() || !kept.remove(peer, entry)) {
      return null;
    }
    return entry.join();
  }

  /** Forgets a connection that has ended. */
  void forget(DefaultConnection connection) {
    kept.computeIfPresent(
        connection.remote(),
        (peer, there) -> {
          if (there.meanwhile == connection) {
            there.meanwhile = null;
          }
          return there.isMade() && there.join() == connection ? null : there;
        });
  }

  /** A connection that was made, or is being made. */
  private static final class Entry extends CompletableFuture<DefaultConnection> {

    /** An incoming one that has come since. Touched only while the map computes. */
    private @Nullable DefaultConnection meanwhile;

    static Entry of(DefaultConnection connection) {
      Entry entry = new Entry();
      entry.complete(connection);
      return entry;
    }

    boolean isMade() {
      return isDone() && !isCompletedExceptionally();
    }

    boolean isOver() {
      return isDone() && !(isMade() && join().isOpen());
    }

    /** What is kept when this was not made. */
    @Nullable Entry instead() {
      return meanwhile != null && meanwhile.isOpen() ? of(meanwhile) : null;
    }
  }
}
