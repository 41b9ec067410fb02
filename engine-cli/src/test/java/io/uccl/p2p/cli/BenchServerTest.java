package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.cli.BenchMessage.Extent;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class BenchServerTest {

  private static final int BYTES = 100_003;

  private final EngineConfig config = EngineConfig.of(Map.of("UCCL_SOCKET_IFNAME", "lo"));
  private P2pEngine serverEngine;
  private P2pEngine clientEngine;
  private Connection connection;
  private BenchLink link;
  private CompletableFuture<Void> served;

  @BeforeEach
  void connect() throws Exception {
    Console console =
        new Console(
            InputStream.nullInputStream(),
            new PrintStream(PrintStream.nullOutputStream()),
            new PrintStream(PrintStream.nullOutputStream()),
            false,
            Map.of());
    serverEngine = P2pEngine.open(config);
    clientEngine = P2pEngine.open(config);
    served =
        CompletableFuture.runAsync(
            () -> {
              try (BenchServer server = new BenchServer(console, serverEngine)) {
                server.serve();
              } catch (RuntimeException e) {
                throw e;
              } catch (Exception e) {
                throw new IllegalStateException(e);
              }
            });
    connection = clientEngine.connect(serverEngine.metadata(), Duration.ofSeconds(10));
    link = new BenchLink(clientEngine, connection);
  }

  @AfterEach
  void close() {
    clientEngine.close();
    serverEngine.close();
  }

  @Test
  void endsWellWhenTheClientIsDone() throws Exception {
    open();
    link.finish();
    served.get(10, TimeUnit.SECONDS);
  }

  @Test
  void failsWhenTheClientIsLost() throws Exception {
    // Not before the server has it: one that leaves earlier was never its client.
    open();
    connection.close();
    assertThatThrownBy(() -> served.get(10, TimeUnit.SECONDS))
        .isInstanceOf(ExecutionException.class)
        .satisfies(e -> assertThat(Failures.exitCode(e.getCause())).isEqualTo(ExitCode.FAILED));
  }

  @Test
  void everyByteOfAWriteIsLookedAt() throws Exception {
    FifoDescriptor remote = open();
    try (MemoryRegion local = BenchMemory.open(clientEngine, BYTES)) {
      Checker checker = new Checker(link, Footprint.of(local), Mode.WRITE);
      checker.before(BYTES);
      connection.write(local, 0, remote).await();
      checker.after(BYTES);

      // The next call leaves one byte out: the far end still holds the byte of the call before.
      checker.before(BYTES);
      long hole = firstDifference(local, 50_000);
      connection.write(local, 0, remote, 0, hole).await();
      connection.write(local, hole + 1, remote, hole + 1, BYTES - hole - 1).await();
      assertThatThrownBy(() -> checker.after(BYTES))
          .isInstanceOfSatisfying(
              ToolException.class, e -> assertThat(e.exitCode()).isEqualTo(ExitCode.FAILED))
          .hasMessageContaining("iteration 2, offset " + hole + ":");
    }
  }

  @Test
  void everyByteOfAReadIsLookedAt() throws Exception {
    FifoDescriptor remote = open();
    try (MemoryRegion local = BenchMemory.open(clientEngine, BYTES)) {
      Checker checker = new Checker(link, Footprint.of(local), Mode.READ);
      checker.before(BYTES);
      connection.read(local, 0, remote).await();
      checker.after(BYTES);
      byte right = local.slice(70_001, 1).get(0);
      local.slice(70_001, 1).put(0, (byte) ~right);
      assertThatThrownBy(() -> checker.after(BYTES))
          .hasMessageContaining("iteration 1, offset 70001:");
    }
  }

  @Test
  void questionsThatMakeNoSenseAreAnsweredWithAnError() throws Exception {
    assertThatThrownBy(() -> link.check(new Extent(1, 10)))
        .hasMessageContaining("the server says: the peer asked for 10 bytes that it did not open");
    open();
    assertThatThrownBy(() -> link.check(new Extent(1, BYTES + 1))).hasMessageContaining("says:");
    link.send(Notification.of("bench/dance", new byte[0]));
    assertThatThrownBy(() -> link.receive(BenchMessage.CHECKED))
        .hasMessageContaining("unknown bench/dance");
    link.send(Notification.of(BenchMessage.CHECK, new byte[3]));
    assertThatThrownBy(() -> link.receive(BenchMessage.CHECKED))
        .hasMessageContaining("malformed bench/check");
    link.send(Notification.of(BenchMessage.OPEN, new byte[12]));
    assertThatThrownBy(() -> link.receive(BenchMessage.DESCRIPTOR))
        .hasMessageContaining("different versions of bench: 0 and 1");
    assertThat(served).isNotDone();
    link.finish();
    served.get(10, TimeUnit.SECONDS);
  }

  private FifoDescriptor open() throws InterruptedException {
    link.send(BenchMessage.open(BYTES));
    FifoDescriptor descriptor = BenchMessage.descriptor(link.receive(BenchMessage.DESCRIPTOR));
    assertThat(BenchMessage.limit(link.receive(BenchMessage.LIMIT)).port()).isPositive();
    return descriptor;
  }

  // Where the patterns of iterations 1 and 2 happen to agree, a byte left out is no wrong byte.
  private static long firstDifference(MemoryRegion second, long from) {
    ByteBuffer first = ByteBuffer.allocateDirect(BYTES);
    new BytePattern(1).fill(Footprint.of(first));
    long offset = from;
    while (first.get((int) offset) == second.slice(offset, 1).get(0)) {
      offset++;
    }
    return offset;
  }
}
