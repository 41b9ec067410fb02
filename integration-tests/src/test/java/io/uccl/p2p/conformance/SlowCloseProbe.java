package io.uccl.p2p.conformance;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.conformance.SimulatedCxi.Mode;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/**
 * Closes things while the provider takes seconds to close an endpoint, and transfers meanwhile. It
 * prints how long each close took, and what went on before the provider was done, which the
 * provider's count of endpoints tells.
 *
 * <p>Argument: {@code engine} closes one engine of three, {@code device} loses the device of one of
 * two.
 */
final class SlowCloseProbe {

  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final int LENGTH = 64 << 10;

  private final SimulatedCxi simulated = SimulatedCxi.ofThisProcess();
  private final EngineConfig config = EngineConfig.fromEnvironment();
  private final P2pEngine target = P2pEngine.open(config);
  private final FifoDescriptor there = target.allocate(LENGTH).advertise();
  private final P2pEngine first = P2pEngine.open(config);

  private SlowCloseProbe() throws Exception {}

  public static void main(String[] arguments) throws Exception {
    SlowCloseProbe probe = new SlowCloseProbe();
    if (arguments[0].equals("engine")) {
      probe.closeEngine();
    } else {
      probe.loseDevice();
    }
    until("the provider is done", () -> probe.simulated.count("FABRICS") == 0);
    print("objects in the end", probe.simulated.objects());
  }

  private static void print(String what, Object value) {
    System.out.println(what + "=" + value);
  }

  private static void until(String what, BooleanSupplier holds) throws InterruptedException {
    long start = System.nanoTime();
    while (!holds.getAsBoolean()) {
      if (System.nanoTime() - start > PATIENCE.toNanos()) {
        throw new AssertionError("not within " + PATIENCE + ": " + what);
      }
      TimeUnit.MILLISECONDS.sleep(1);
    }
  }

  private long endpoints() {
    return simulated.count("ENDPOINTS");
  }

  /** Closes it and prints the time, and whether that was over before the provider was done. */
  private void close(String what, AutoCloseable thing, long endpoints) throws Exception {
    Stopwatch stopwatch = new Stopwatch();
    thing.close();
    print(what + " ms", stopwatch.taken().toMillis());
    print(what + " before the provider", endpoints() == endpoints);
  }

  /** Transfers until there are fewer endpoints, and returns how many transfers went well before. */
  private long transferWhile(long endpoints, Connection over, MemoryRegion local) throws Exception {
    long transfers = 0;
    while (endpoints() == endpoints) {
      over.write(local, 0, there).await();
      transfers++;
    }
    return transfers;
  }

  private void closeEngine() throws Exception {
    try (P2pEngine second = P2pEngine.open(config)) {
      Connection closing = first.connect(target.metadata(), PATIENCE);
      MemoryRegion used = first.allocate(LENGTH);
      closing.write(used, 0, there).await();
      Connection other = second.connect(target.metadata(), PATIENCE);
      MemoryRegion local = second.allocate(LENGTH);
      close("region", used, 3);
      close("connection", closing, 3);
      close("engine", first, 3);
      print("transfers meanwhile", transferWhile(3, other, local));
    }
    target.close();
  }

  private void loseDevice() throws Exception {
    MemoryRegion local = first.allocate(LENGTH);
    MemoryRegion idle = first.allocate(LENGTH);
    Connection lost = first.connect(target.metadata(), PATIENCE);
    // The first operation is under way when the second finds that the device is gone.
    simulated.fault("LOST_COMPLETION", Mode.AT, 1);
    Transfer underWay = lost.write(local, 0, there);
    until("it is posted", () -> simulated.struck("LOST_COMPLETION") == 1);
    simulated.fault("GONE", Mode.AT, 1);
    Transfer refused = lost.write(local, 0, there);
    Stopwatch stopwatch = new Stopwatch();
    print("failure", failure(refused).getClass().getSimpleName());
    print("failure of what was under way", failure(underWay).getClass().getSimpleName());
    print("failures ms", stopwatch.taken().toMillis());
    print("memory of what was under way", underWay.buffer());
    close("region", idle, 2);

    Connection fresh = first.connect(target.metadata(), PATIENCE);
    MemoryRegion more = first.allocate(LENGTH);
    fresh.write(more, 0, there).await();
    close("fresh region", more, 3);
    close("fresh connection", fresh, 3);
    Connection again = first.connect(target.metadata(), PATIENCE);
    print("transfers meanwhile", transferWhile(3, again, local));
    until("nothing touches its memory", () -> underWay.buffer() == BufferState.FREE);

    close("engine", first, 2);
    target.close();
  }

  private static P2pException failure(Transfer transfer) throws InterruptedException {
    try {
      transfer.await(PATIENCE);
    } catch (P2pException e) {
      return e;
    }
    throw new AssertionError("it has not failed");
  }
}
