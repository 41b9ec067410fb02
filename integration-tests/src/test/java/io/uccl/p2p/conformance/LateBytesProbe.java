package io.uccl.p2p.conformance;

import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.transport.cxi.CxiTransportProvider;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * Closes a region while peers write to it, again and again, and counts how often a byte came after
 * the close had returned. The peers are as C++ engines are: nobody tells them that a region closes,
 * so what keeps their writes out is the key alone.
 *
 * <p>Arguments: a folder for the peers; the rounds; how many writes a peer makes in each when none
 * is refused.
 */
final class LateBytesProbe implements AutoCloseable {

  private static final Duration PATIENCE = Duration.ofSeconds(30);
  private static final int WRITERS = 8;

  /** Many pieces on the wire, so that a write is seldom all there when the region closes. */
  private static final int STRIPE = 1 << 20;

  private static final int LENGTH = WRITERS * STRIPE;

  private final P2pEngine engine = P2pEngine.open(EngineConfig.fromEnvironment());

  /** Where a key of its own does not guard each region, another one that is open makes it worse. */
  private final MemoryRegion open = engine.allocate(STRIPE);

  private final ByteBuffer memory = ByteBuffer.allocateDirect(LENGTH);
  private final ByteBuffer untouched = ByteBuffer.allocateDirect(LENGTH);
  private final List<CppPeer> writers = new ArrayList<>();
  private final int[] numbers = new int[WRITERS];
  private final long most;
  private int roundsWithLateBytes;
  private int refused;
  private int neverRefused;

  private LateBytesProbe(Path folder, long most) throws Exception {
    this.most = most;
    byte[] written = CppPeer.pattern(STRIPE, 1);
    for (int i = 0; i < WRITERS; i++) {
      CppPeer peer = CppPeer.start(folder, STRIPE);
      writers.add(peer);
      peer.run("fill", 0, 1);
      numbers[i] = peer.connect(engine.metadata());
      if (engine.accept(PATIENCE) == null) {
        throw new AssertionError("writer " + i + " did not come");
      }
      for (byte each : written) {
        // What a writer never writes at that place.
        untouched.put((byte) ~each);
      }
    }
    untouched.flip();
  }

  public static void main(String[] arguments) throws Exception {
    int rounds = Integer.parseInt(arguments[1]);
    SimulatedCxi simulated = SimulatedCxi.ofThisProcess();
    System.out.println("revokesOnClose=" + revokesOnClose());
    try (LateBytesProbe probe =
        new LateBytesProbe(Path.of(arguments[0]), Long.parseLong(arguments[2]))) {
      for (int i = 0; i < rounds; i++) {
        probe.round();
      }
      System.out.println("rounds with late bytes=" + probe.roundsWithLateBytes);
      System.out.println("writers refused=" + probe.refused);
      System.out.println("writers never refused=" + probe.neverRefused);
      probe.end();
    }
    for (String each : new String[] {"CLOSES_WAITED", "CLOSES_CUT", "LATE_ACCESSES"}) {
      System.out.println(each + "=" + simulated.count(each));
    }
  }

  private static boolean revokesOnClose() {
    TransportContext context =
        new TransportContext(CxiChild.ENGINE, InetAddress.getLoopbackAddress(), 32, 0);
    Transport transport = new CxiTransportProvider().open(context);
    boolean revokes = transport.capabilities().revokesOnClose();
    transport.close();
    transport.release();
    return revokes;
  }

  private void round() throws Exception {
    memory.clear().put(untouched.duplicate()).clear();
    MemoryRegion region = engine.register(memory);
    for (int i = 0; i < WRITERS; i++) {
      FifoDescriptor stripe = region.advertise((long) i * STRIPE, STRIPE);
      writers.get(i).beginWriting(numbers[i], stripe, most);
    }
    for (int i = 0; i < WRITERS; i++) {
      awaitFirstByteOf(i);
    }
    region.close();
    memory.put(untouched.duplicate()).clear();
    for (CppPeer each : writers) {
      boolean wasRefused = each.endOfWriting()[1] != 0;
      refused += wasRefused ? 1 : 0;
      neverRefused += wasRefused ? 0 : 1;
    }
    // Nobody writes any more.
    roundsWithLateBytes += memory.mismatch(untouched) < 0 ? 0 : 1;
  }

  private void awaitFirstByteOf(int writer) {
    int at = writer * STRIPE;
    long start = System.nanoTime();
    while (memory.get(at) == untouched.get(at)) {
      if (System.nanoTime() - start > PATIENCE.toNanos()) {
        throw new AssertionError("writer " + writer + " does not write");
      }
      Thread.yield();
    }
  }

  private void end() throws Exception {
    open.close();
    engine.close();
    for (CppPeer each : writers) {
      each.end();
    }
  }

  /** The writers end with this process, if they have not. */
  @Override
  public void close() {
    engine.close();
  }
}
