package io.uccl.p2p.transport.cxi;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.CompletionBuffer;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.transport.cxi.Crossings.Count;
import io.uccl.p2p.transport.cxi.SimulatedCounts.Counter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** How often a batch crosses JNI, counted by a build of the shim that is made for this. */
@Timeout(300)
class CxiCrossingsTest {

  private static final Path COUNTED = Path.of(System.getProperty("p2p.native.build"), "counted");
  private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(30);

  /** As many as the simulated provider sends before the first answer has been read. */
  private static final int OPERATIONS = 16;

  private static SimulatedCounts counts;
  private static Crossings crossings;
  private static Driven driven;
  private static Channel channel;

  @BeforeAll
  static void openOnTheShimThatCounts() throws IOException {
    Needs.that("natives", Files.isDirectory(COUNTED), COUNTED + " was not built");
    Needs.simulatedCxi();
    counts = new SimulatedCounts(Path.of(System.getenv("FI_CXI_SIM_COUNTS")));
    crossings = new Crossings(Path.of(System.getenv("P2P_CXI_CROSSINGS")));
    // Before the first use of the shim, in a JVM that has this class alone.
    System.setProperty("java.library.path", COUNTED.toString());
    driven = new Driven(Map.of("UCCL_CXI_PROVIDER", "cxi", "UCCL_LIBFABRIC_SO", Needs.libfabric()));
    channel = driven.connect();
    // The first operation waits for the provider's own connection.
    assertThat(driven.written(channel, driven.local, driven.remote.descriptor(), 8)).isEmpty();
  }

  @AfterAll
  static void close() {
    if (driven != null) {
      driven.close();
    }
  }

  @Test
  void aBatchIsPostedWithOneCrossing() {
    OpBuffer batch = batch(OPERATIONS);
    long before = crossings.get(Count.POSTS);
    assertThat(channel.post(batch, 0, OPERATIONS)).isEqualTo(OPERATIONS);
    assertThat(crossings.get(Count.POSTS) - before).isEqualTo(1);
    driven.until(() -> ended(batch));
  }

  @Test
  void whatHasEndedIsReadWithOneCrossingAPollAndNotWithOneAnOperation() {
    long writes = counts.get(Counter.REMOTE_WRITES) + OPERATIONS;
    assertThat(channel.post(batch(OPERATIONS), 0, OPERATIONS)).isEqualTo(OPERATIONS);
    CompletionBuffer reports = new CompletionBuffer(2 * OPERATIONS);
    long before = crossings.get(Count.POLLS);
    // The target answers all of them before the first answer is read.
    long polls = poll(driven.there, reports, () -> counts.get(Counter.REMOTE_WRITES) == writes);
    assertThat(reports.size()).isZero();
    long fruitful = -crossings.get(Count.FRUITFUL_POLLS);
    long completions = -crossings.get(Count.COMPLETIONS);
    polls += poll(driven.here, reports, () -> reports.size() == OPERATIONS);
    fruitful += crossings.get(Count.FRUITFUL_POLLS);
    completions += crossings.get(Count.COMPLETIONS);
    assertThat(crossings.get(Count.POLLS) - before).as("crossings of all polls").isEqualTo(polls);
    assertThat(completions).isEqualTo(OPERATIONS);
    assertThat(fruitful).as("polls that read %d completions", completions).isLessThan(OPERATIONS);
    System.out.printf("%d completions were read in %d crossings%n", completions, fruitful);
  }

  /** Polls until something holds; how often. */
  private static long poll(Transport transport, CompletionBuffer reports, BooleanSupplier enough) {
    long deadline = System.nanoTime() + PATIENCE_NANOS;
    long polls = 0;
    for (; !enough.getAsBoolean(); polls++) {
      assertThat(System.nanoTime() - deadline).as("waited for long enough").isNegative();
      transport.poll(reports);
    }
    return polls;
  }

  private static boolean ended(OpBuffer batch) {
    for (int i = 0; i < OPERATIONS; i++) {
      if (!driven.ended.containsKey(batch.id(i))) {
        return false;
      }
      assertThat(driven.ended.get(batch.id(i))).isEqualTo(Optional.empty());
    }
    return true;
  }

  private static OpBuffer batch(int operations) {
    OpBuffer batch = new OpBuffer(operations);
    FifoDescriptor there = driven.remote.descriptor();
    for (int i = 0; i < operations; i++) {
      long offset = 8L * i;
      batch.set(
          i,
          OpBuffer.WRITE,
          driven.local.registered(),
          driven.local.span().address() + offset,
          offset,
          8,
          there,
          there.address() + offset);
      batch.setId(i, 1_000_000 + i);
    }
    return batch;
  }
}
