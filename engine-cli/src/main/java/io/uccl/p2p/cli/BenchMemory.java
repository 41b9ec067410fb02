package io.uccl.p2p.cli;

import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.RegistrationException;
import java.nio.ByteBuffer;

/** Gets the memory that is measured: the engine's own, else a direct buffer. */
final class BenchMemory {

  private BenchMemory() {}

  /**
   * Allocates, registers and touches memory.
   *
   * @throws ToolException if there is no way to get so much
   */
  static MemoryRegion open(P2pEngine engine, long bytes) {
    MemoryRegion region;
    try {
      region = engine.allocate(bytes);
    } catch (RegistrationException e) {
      region = register(engine, bytes, e);
    }
    // Pages that were never written are all the same page, and reading that one is no measure.
    new BytePattern(0).fill(Footprint.of(region));
    return region;
  }

  private static MemoryRegion register(P2pEngine engine, long bytes, RegistrationException why) {
    if (bytes > Integer.MAX_VALUE) {
      throw new ToolException(
          ExitCode.USAGE,
          bytes
              + " bytes in one call need memory from the engine, a buffer ends at 2 GiB; but: "
              + why.getMessage()
              + "; or give smaller --sizes or --num-iovs",
          why);
    }
    ByteBuffer buffer;
    try {
      buffer = ByteBuffer.allocateDirect((int) bytes);
    } catch (OutOfMemoryError e) {
      throw new ToolException(
          ExitCode.USAGE,
          bytes
              + " bytes are more than the JVM may allocate; raise -XX:MaxDirectMemorySize"
              + " or give smaller --sizes or --num-iovs",
          e);
    }
    return engine.register(buffer);
  }
}
