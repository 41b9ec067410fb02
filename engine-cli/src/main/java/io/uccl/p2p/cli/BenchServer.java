package io.uccl.p2p.cli;

import io.uccl.p2p.Connection;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.ReceivedNotification;
import io.uccl.p2p.cli.BenchMessage.Extent;
import java.io.IOException;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * The target of a benchmark: waits for one client, lends it memory, and checks that memory when
 * asked to. The transfers themselves need nothing of it: they are one-sided.
 */
final class BenchServer implements AutoCloseable {

  private static final Duration LOOK_UP = Duration.ofSeconds(1);

  private final Console console;
  private final P2pEngine engine;
  private final @Nullable PlantedByte planted = PlantedByte.fromProperty();
  private @Nullable MemoryRegion region;
  private @Nullable RawServer limit;

  BenchServer(Console console, P2pEngine engine) {
    this.console = console;
    this.engine = engine;
  }

  /**
   * Serves the next client until it says that it is done.
   *
   * @throws P2pException if the client is lost
   */
  void serve() throws InterruptedException, IOException {
    Connection client = null;
    while (client == null) {
      client = engine.accept(LOOK_UP);
    }
    boolean done = false;
    while (!done) {
      ReceivedNotification received = engine.takeNotification(LOOK_UP);
      if (received == null) {
        stopIfLost(client);
      } else if (received.from() == client) {
        done = answer(client, received.notification());
      } else if (received.from() != null) {
        received.from().sendNotification(BenchMessage.error("this server has a client already"));
      }
    }
  }

  @Override
  public void close() throws IOException {
    if (limit != null) {
      limit.close();
      limit = null;
    }
    if (region != null) {
      region.close();
      region = null;
    }
  }

  private static void stopIfLost(Connection client) {
    if (!client.isOpen()) {
      P2pException failure = client.failure();
      throw failure != null
          ? failure
          : new ToolException(ExitCode.FAILED, "the client left without saying that it is done");
    }
  }

  /** True if the client is done. */
  private boolean answer(Connection client, Notification question) throws IOException {
    try {
      switch (question.nameText()) {
        case BenchMessage.OPEN -> open(client, BenchMessage.openedBytes(question));
        case BenchMessage.FILL -> {
          Extent extent = BenchMessage.extent(question);
          Footprint memory = footprint(extent);
          new BytePattern(extent.iteration()).fill(memory);
          plant(memory, extent);
          client.sendNotification(BenchMessage.bare(BenchMessage.FILLED));
        }
        case BenchMessage.CHECK -> {
          Extent extent = BenchMessage.extent(question);
          Footprint memory = footprint(extent);
          plant(memory, extent);
          client.sendNotification(
              BenchMessage.checked(new BytePattern(extent.iteration()).firstWrong(memory)));
        }
        case BenchMessage.DONE -> {
          client.sendNotification(BenchMessage.bare(BenchMessage.DONE));
          return true;
        }
        default ->
            throw new ToolException(
                ExitCode.FAILED, "the peer sent an unknown " + question.nameText());
      }
    } catch (ToolException e) {
      client.sendNotification(BenchMessage.error(Failures.line(e)));
    } catch (P2pException e) {
      if (!client.isOpen()) {
        throw e;
      }
      client.sendNotification(BenchMessage.error(Failures.line(e)));
    }
    return false;
  }

  private void open(Connection client, long bytes) throws IOException {
    if (bytes < 1) {
      throw new ToolException(ExitCode.FAILED, "the peer asked for " + bytes + " bytes of memory");
    }
    close();
    MemoryRegion memory = BenchMemory.open(engine, bytes);
    region = memory;
    RawServer server =
        RawServer.open(engine.metadata().address(), Footprint.of(memory), console::say);
    limit = server;
    client.sendNotification(BenchMessage.descriptor(memory.advertise()));
    client.sendNotification(BenchMessage.limit(server.port(), server.token()));
  }

  private void plant(Footprint memory, Extent extent) {
    if (planted != null) {
      planted.into(memory, extent);
    }
  }

  private Footprint footprint(Extent extent) {
    MemoryRegion memory = region;
    if (memory == null || extent.bytes() < 0 || extent.bytes() > memory.length()) {
      throw new ToolException(
          ExitCode.FAILED, "the peer asked for " + extent.bytes() + " bytes that it did not open");
    }
    return Footprint.of(memory).first(extent.bytes());
  }
}
