package io.uccl.p2p.example;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.TransportChoice;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Random;

/**
 * What runs in a JVM of its own, with the class path and environment that the test gives it. It
 * knows the API alone, and prints what it finds.
 */
final class ExampleChild {

  private static final Duration LIMIT = Duration.ofSeconds(20);
  private static final int[] SIZES = {0, 1, 63, 64, 65, 4095, 4096, 4097, 32768, 32769, 1179648};

  private ExampleChild() {}

  public static void main(String[] arguments) throws Exception {
    try {
      if (arguments[0].equals("choose")) {
        choose();
      } else {
        transfer();
      }
    } catch (P2pException e) {
      System.out.println(e.getClass().getSimpleName() + ": " + e.getMessage());
      System.exit(3);
    }
  }

  private static void choose() {
    try (P2pEngine engine = P2pEngine.open()) {
      TransportChoice choice = engine.transport();
      System.out.println("chosen " + choice.name());
      choice
          .candidates()
          .forEach(found -> System.out.println("found " + found.name() + ": " + found.detail()));
    }
  }

  private static void transfer() throws Exception {
    try (P2pEngine here = P2pEngine.open();
        P2pEngine there = P2pEngine.open(EngineConfig.fromEnvironment())) {
      System.out.println("engines on " + here.transport().name() + " " + there.transport().name());
      Connection connection = here.connect(there.metadata(), LIMIT);
      MemoryRegion local = here.register(ByteBuffer.allocateDirect(2 << 20));
      MemoryRegion remote = there.register(ByteBuffer.allocateDirect(2 << 20));
      for (int size : SIZES) {
        writeAndRead(connection, local, remote, size);
      }
      refused(
          connection,
          local,
          there.register(ByteBuffer.allocateDirect(64), RegionAccess.REMOTE_READ));
      writeAndRead(connection, local, remote, 4096);
      System.out.println("moves after the refusal");
      back(there.accept(LIMIT), remote, local);
    }
  }

  /** Writes random bytes, reads them back to another place, and looks at both. */
  private static void writeAndRead(
      Connection connection, MemoryRegion local, MemoryRegion remote, int size) throws Exception {
    byte[] bytes = new byte[size];
    new Random(size).nextBytes(bytes);
    int from = 3;
    int to = 8;
    local.slice(from, size).put(bytes);
    connection.write(local, from, remote.advertise(to, size)).await();
    same("write", bytes, remote, to);
    local.slice(from, size).put(new byte[size]);
    connection.read(local, from, remote.advertise(to, size)).await();
    same("read", bytes, local, from);
    System.out.println("moved " + size);
  }

  private static void same(String what, byte[] expected, MemoryRegion region, int offset) {
    byte[] found = new byte[expected.length];
    region.slice(offset, found.length).get(found);
    if (!Arrays.equals(expected, found)) {
      throw new IllegalStateException(what + " of " + found.length + " bytes changed them");
    }
  }

  private static void refused(Connection connection, MemoryRegion local, MemoryRegion readOnly)
      throws InterruptedException {
    local.slice(0, 64).put(new byte[64]).put(0, (byte) 1);
    try {
      connection.write(local, 0, readOnly.advertise()).await();
      System.out.println("not refused");
    } catch (RemoteAccessException e) {
      System.out.println("refused: " + e.getMessage());
      System.out.println("first byte " + readOnly.slice(0, 1).get(0));
    }
  }

  private static void back(Connection connection, MemoryRegion from, MemoryRegion to)
      throws InterruptedException {
    from.slice(0, 1).put((byte) 42);
    connection.write(from, 0, to.advertise(5, 1)).await();
    System.out.println("back " + to.slice(5, 1).get(0));
  }
}
