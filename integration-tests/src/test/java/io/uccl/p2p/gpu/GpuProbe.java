package io.uccl.p2p.gpu;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.SplittableRandom;

/**
 * Moves bytes to and from memory that the stand-in for CUDA's driver calls a GPU's, and prints what
 * it sees, a line each. In a JVM of its own, because the driver stays loaded.
 */
final class GpuProbe {

  private static final Duration DEADLINE = Duration.ofSeconds(30);
  private static final int BYTES = 3 << 20;

  private GpuProbe() {}

  /** Arguments: the stand-in, and the file of simulated memory. */
  public static void main(String[] args) throws IOException, InterruptedException {
    System.load(args[0]);
    MappedByteBuffer memory;
    try (FileChannel file =
        FileChannel.open(
            Path.of(args[1]),
            StandardOpenOption.CREATE,
            StandardOpenOption.READ,
            StandardOpenOption.WRITE)) {
      memory = file.map(FileChannel.MapMode.READ_WRITE, 0, BYTES);
    }
    try (P2pEngine there = P2pEngine.open(EngineConfig.fromEnvironment())) {
      // Not at the start of a page, and not to the end.
      run(there, memory, 100, BYTES - 5000);
    } catch (P2pException e) {
      System.out.println("refused: " + e.summary() + "; " + e.detail().remedy());
    }
  }

  private static void run(P2pEngine there, ByteBuffer memory, int offset, int length)
      throws InterruptedException {
    try (MemoryRegion gpu =
            there.register(
                NativeMemory.address(memory) + offset, length, RegionAccess.REMOTE_READ_WRITE);
        P2pEngine here = P2pEngine.open(EngineConfig.fromEnvironment());
        MemoryRegion host = here.allocate(length, RegionAccess.LOCAL)) {
      System.out.println("kind: " + gpu.kind() + ", host: " + host.kind());
      try {
        gpu.slice(0, 1);
      } catch (UnsupportedOperationException e) {
        System.out.println("slice: " + e.getMessage());
      }
      byte[] bytes = new byte[length];
      new SplittableRandom(4711).nextBytes(bytes);
      host.slice(0, length).put(bytes);
      Connection peer = here.connect(there.metadata(), DEADLINE);
      peer.write(host, 0, gpu.advertise()).await(DEADLINE);
      System.out.println("written: " + memory.slice(offset, length).equals(ByteBuffer.wrap(bytes)));
      memory.put(offset, (byte) ~bytes[0]);
      peer.read(host, 0, gpu.advertise()).await(DEADLINE);
      System.out.println("read: " + (host.slice(0, 1).get(0) == (byte) ~bytes[0]));
      // And as the local side of an operation.
      try (MemoryRegion target = here.allocate(length, RegionAccess.REMOTE_READ_WRITE)) {
        Connection back = there.connect(here.metadata(), DEADLINE);
        back.write(gpu, 0, target.advertise()).await(DEADLINE);
        System.out.println("sent: " + target.slice(0, length).equals(memory.slice(offset, length)));
      }
    }
  }
}
