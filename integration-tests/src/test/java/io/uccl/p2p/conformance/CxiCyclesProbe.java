package io.uccl.p2p.conformance;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;

/**
 * Registers, advertises, writes and closes memory again and again, both engines in this JVM, which
 * does nothing else. It prints what the provider counts, and how much memory the process has gained
 * once it had all that it needs.
 *
 * <p>Arguments: the cycles; after how many the memory is looked at; {@code close}, or {@code leave}
 * to close no region.
 */
final class CxiCyclesProbe implements AutoCloseable {

  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final int LENGTH = 64 << 10;
  private static final int LOOK_EVERY = 100;

  private final P2pEngine here;
  private final P2pEngine there;
  private final Connection connection;
  private final MemoryRegion local;
  private final ByteBuffer callers = ByteBuffer.allocateDirect(LENGTH);
  private final byte[] sent = new byte[LENGTH];
  private final byte[] arrived = new byte[LENGTH];
  private final boolean closes;

  private CxiCyclesProbe(EngineConfig config, boolean closes) throws InterruptedException {
    this.closes = closes;
    here = P2pEngine.open(config);
    there = P2pEngine.open(config);
    connection = here.connect(there.metadata(), PATIENCE);
    local = here.allocate(LENGTH);
  }

  public static void main(String[] arguments) throws Exception {
    int cycles = Integer.parseInt(arguments[0]);
    int settled = Integer.parseInt(arguments[1]);
    SimulatedCxi simulated = SimulatedCxi.ofThisProcess();
    Map<String, Long> nothing = simulated.objects();
    try (CxiCyclesProbe probe =
        new CxiCyclesProbe(EngineConfig.fromEnvironment(), arguments[2].equals("close"))) {
      Map<String, Long> before = simulated.objects();
      long base = 0;
      long most = 0;
      for (int done = 1; done <= cycles; done++) {
        probe.cycle(done);
        if (done >= settled && done % LOOK_EVERY == 0) {
          most = Math.max(most, residentKilobytes());
          base = base == 0 ? most : base;
        }
      }
      print("objects before", before);
      print("objects after", simulated.objects());
      print("kilobytes at first", base);
      print("kilobytes at most", most);
    }
    print("objects in the beginning", nothing);
    print("objects in the end", simulated.objects());
    for (String each : new String[] {"REGISTRATIONS", "RMA_BEFORE_ENABLE", "REFUSED_KEY"}) {
      print(each, simulated.count(each));
    }
  }

  private static void print(String what, Object value) {
    System.out.println(what + "=" + value);
  }

  private void cycle(int number) throws InterruptedException {
    MemoryRegion region = number % 2 == 0 ? there.allocate(LENGTH) : there.register(callers);
    for (int i = 0; i < LENGTH; i++) {
      sent[i] = (byte) (i * 131 + i / 251 + number * 29);
    }
    local.slice(0, LENGTH).put(sent);
    FifoDescriptor descriptor = region.advertise();
    connection.write(local, 0, descriptor).await();
    region.slice(0, LENGTH).get(arrived);
    if (!Arrays.equals(sent, arrived)) {
      throw new AssertionError("in cycle " + number + " other bytes have arrived");
    }
    if (closes) {
      region.close();
    }
  }

  private static long residentKilobytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    throw new IllegalStateException("/proc/self/status has no VmRSS");
  }

  @Override
  public void close() {
    here.close();
    there.close();
  }
}
