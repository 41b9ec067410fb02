package io.uccl.p2p.overhead;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.TransferBatch;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * The engine's side of the comparison: a process that is a target or an initiator, with the
 * commands of the loop in C ({@code transport-cxi/src/test/native/loop/main.c}), and one more:
 *
 * <pre>
 *   stream write|read BYTES OPERATIONS CALLS UNDER-WAY     ok NANOS     of all calls
 * </pre>
 *
 * <p>Its target needs no command to make progress.
 */
final class EngineEnds {

  private static final HexFormat HEX = HexFormat.of();
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private EngineEnds() {}

  public static void main(String[] arguments) throws IOException, InterruptedException {
    BufferedReader commands =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    long bytes = Long.parseLong(arguments[1]);
    try (P2pEngine engine = P2pEngine.open();
        MemoryRegion memory = engine.allocate(bytes)) {
      touch(memory);
      if (arguments[0].equals("target")) {
        engine.passiveAccept();
        System.out.println(
            HEX.formatHex(engine.metadata().encode())
                + " "
                + HEX.formatHex(memory.advertise().encode()));
        while (commands.readLine() != null) {
          System.out.println("ok");
        }
      } else {
        String[] target = commands.readLine().split(" ", -1);
        Connection peer =
            engine.connect(EndpointMetadata.decode(HEX.parseHex(target[0])), PATIENCE);
        FifoDescriptor there = FifoDescriptor.decode(HEX.parseHex(target[1]));
        initiate(peer, memory, there, commands);
      }
    }
  }

  private static void touch(MemoryRegion memory) {
    for (long at = 0; at < memory.length(); at += 4096) {
      memory.slice(at, 1).put(0, (byte) 1);
    }
  }

  private static void initiate(
      Connection peer, MemoryRegion memory, FifoDescriptor there, BufferedReader commands)
      throws IOException, InterruptedException {
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.split(" ", -1);
      Call call = new Call(words[1].equals("write"), parse(words[2]), (int) parse(words[3]));
      int calls = (int) parse(words[4]);
      if (words[0].equals("stream")) {
        System.out.println("ok " + stream(peer, memory, there, call, calls, (int) parse(words[5])));
      } else {
        long[] times = new long[calls];
        long all;
        try (TransferBatch batch = call.batch(peer, memory, there, call.bytes())) {
          all = run(batch, words[5].equals("spin"), times);
        }
        Arrays.sort(times);
        System.out.println("ok " + all + " " + times[calls / 2]);
      }
    }
  }

  private static long parse(String number) {
    return Long.parseLong(number);
  }

  /** Operations that are posted together. */
  private record Call(boolean write, long bytes, int operations) {

    /** The operations' ranges begin so many bytes from each other, on either side. */
    TransferBatch batch(Connection peer, MemoryRegion memory, FifoDescriptor there, long stride) {
      TransferBatch batch = peer.newBatch(operations);
      for (int i = 0; i < operations; i++) {
        if (write) {
          batch.write(memory, i * stride, there, i * stride, bytes);
        } else {
          batch.read(memory, i * stride, there, i * stride, bytes);
        }
      }
      return batch;
    }
  }

  /**
   * Keeps calls under way, all on the same memory; the nanoseconds of all of them, which are not
   * fewer.
   */
  private static long stream(
      Connection peer,
      MemoryRegion memory,
      FifoDescriptor there,
      Call call,
      int calls,
      int underWay)
      throws InterruptedException {
    TransferBatch[] batches = new TransferBatch[underWay];
    Arrays.setAll(batches, i -> call.batch(peer, memory, there, 0));
    long start = System.nanoTime();
    for (int i = 0; i < calls; i++) {
      TransferBatch oldest = batches[i % underWay];
      if (i >= underWay) {
        oldest.await();
      }
      post(oldest);
    }
    for (TransferBatch batch : batches) {
      batch.await();
    }
    long all = System.nanoTime() - start;
    for (TransferBatch batch : batches) {
      batch.close();
    }
    return all;
  }

  /** As many calls as there is room for their times; the nanoseconds of all of them. */
  private static long run(TransferBatch batch, boolean polls, long[] times)
      throws InterruptedException {
    long start = System.nanoTime();
    for (int i = 0; i < times.length; i++) {
      long before = System.nanoTime();
      call(batch, polls);
      times[i] = System.nanoTime() - before;
    }
    return System.nanoTime() - start;
  }

  private static void call(TransferBatch batch, boolean polls) throws InterruptedException {
    post(batch);
    if (polls) {
      while (!batch.poll()) {
        Thread.onSpinWait();
      }
    }
    // After a poll that said so, this returns at once; it throws what the transfer failed with.
    batch.await();
  }

  private static void post(TransferBatch batch) {
    if (batch.post() != PostResult.POSTED) {
      throw new IllegalStateException("a batch was refused on a connection on which little waits");
    }
  }
}
