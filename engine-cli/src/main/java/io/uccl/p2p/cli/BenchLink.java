package io.uccl.p2p.cli;

import io.uccl.p2p.Connection;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.cli.BenchMessage.Extent;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/** The client's end of the talk with a {@link BenchServer}: one question, one answer. */
final class BenchLink {

  private static final Duration LOOK_UP = Duration.ofSeconds(1);
  // Filling or checking comes before some answers, at some GB/s.
  private static final long PATIENCE_NANOS = Duration.ofMinutes(5).toNanos();

  private static final long FAREWELL_NANOS = Duration.ofSeconds(5).toNanos();

  private final P2pEngine engine;
  private final Connection server;

  BenchLink(P2pEngine engine, Connection server) {
    this.engine = engine;
    this.server = server;
  }

  void send(Notification message) {
    if (server.sendNotification(message) != PostResult.POSTED) {
      throw new ToolException(ExitCode.FAILED, "the server takes no notifications any more");
    }
  }

  /**
   * The next message of the server.
   *
   * @throws ToolException if it is an error, or not the one that is expected, or does not come
   * @throws P2pException if the server is lost
   */
  Notification receive(String expected) throws InterruptedException {
    long start = System.nanoTime();
    while (System.nanoTime() - start < PATIENCE_NANOS) {
      ReceivedNotification received = engine.takeNotification(LOOK_UP);
      if (received != null && received.from() == server) {
        return accept(expected, received.notification());
      }
      if (received == null && !server.isOpen()) {
        P2pException failure = server.failure();
        throw failure != null
            ? failure
            : new ToolException(ExitCode.FAILED, "the connection to the server was closed");
      }
    }
    throw new ToolException(ExitCode.FAILED, "the server did not answer with " + expected);
  }

  /** Has the server fill the first bytes of its memory. */
  void fill(Extent extent) throws InterruptedException {
    send(BenchMessage.extent(BenchMessage.FILL, extent));
    receive(BenchMessage.FILLED);
  }

  /** Has the server look for a wrong byte in the first bytes of its memory. */
  BytePattern.@Nullable WrongByte check(Extent extent) throws InterruptedException {
    send(BenchMessage.extent(BenchMessage.CHECK, extent));
    return BenchMessage.checked(receive(BenchMessage.CHECKED));
  }

  /**
   * Tells the server that this was all, and waits until it knows, so that closing this end does not
   * look like a failure over there.
   */
  void finish() throws InterruptedException {
    send(BenchMessage.bare(BenchMessage.DONE));
    long start = System.nanoTime();
    while (server.isOpen() && System.nanoTime() - start < FAREWELL_NANOS) {
      ReceivedNotification received = engine.takeNotification(LOOK_UP);
      if (received != null && received.notification().nameText().equals(BenchMessage.DONE)) {
        return;
      }
    }
  }

  private static Notification accept(String expected, Notification message) {
    String name = message.nameText();
    if (name.equals(BenchMessage.ERROR)) {
      throw new ToolException(ExitCode.FAILED, "the server says: " + BenchMessage.error(message));
    }
    if (!name.equals(expected)) {
      throw new ToolException(
          ExitCode.FAILED, "the server sent " + name + " where " + expected + " was expected");
    }
    return message;
  }
}
