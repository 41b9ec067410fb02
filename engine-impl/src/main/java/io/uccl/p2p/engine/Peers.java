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

  private final ConcurrentHashMap<EndpointMetadata, CompletableFuture<DefaultConnection>> kept =
      new ConcurrentHashMap<>();

  /** Makes a connection within a time. */
  interface Connector {
    DefaultConnection connect(Duration timeout) throws InterruptedException;
  }

  /** Keeps an incoming connection, unless there is one already, or one is being made. */
  void keep(DefaultConnection connection) {
    kept.putIfAbsent(connection.remote(), CompletableFuture.completedFuture(connection));
  }

  /** The open connection to a peer, or a new one. */
  DefaultConnection connectOrGet(EndpointMetadata peer, Duration timeout, Connector connector)
      throws InterruptedException {
    long deadline = System.nanoTime() + Nanos.of(timeout);
    while (true) {
      CompletableFuture<DefaultConnection> mine = new CompletableFuture<>();
      CompletableFuture<DefaultConnection> existing = kept.putIfAbsent(peer, mine);
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
      EndpointMetadata peer,
      CompletableFuture<DefaultConnection> mine,
      Connector connector,
      Duration left)
      throws InterruptedException {
    try {
      DefaultConnection connection = connector.connect(left);
      mine.complete(connection);
      return connection;
    } catch (RuntimeException | InterruptedException e) {
      kept.remove(peer, mine);
      mine.completeExceptionally(e);
      throw e;
    }
  }

  /** Forgets a peer and returns its connection, or null if there is none. */
  @Nullable DefaultConnection remove(EndpointMetadata peer) {
    CompletableFuture<DefaultConnection> future = kept.get(peer);
    if (future == null || !isMade(future) || !kept.remove(peer, future)) {
      return null;
    }
    return future.join();
  }

  /** Forgets a connection that has ended. */
  void forget(DefaultConnection connection) {
    kept.computeIfPresent(
        connection.remote(),
        (peer, future) -> isMade(future) && future.join() == connection ? null : future);
  }

  private static boolean isMade(CompletableFuture<DefaultConnection> future) {
    return future.isDone() && !future.isCompletedExceptionally();
  }
}
