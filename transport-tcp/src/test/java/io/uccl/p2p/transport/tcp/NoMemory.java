package io.uccl.p2p.transport.tcp;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** Takes all off-heap memory that this process may have, for as long as something lasts. */
final class NoMemory {

  private static final int[] SIZES = {64 << 20, 1 << 20, 4 << 10};

  private NoMemory() {}

  static void during(Runnable what) {
    List<ByteBuffer> taken = new ArrayList<>();
    for (int size : SIZES) {
      while (takes(size, taken)) {
        // Until there is none of that size.
      }
    }
    try {
      what.run();
    } catch (OutOfMemoryError e) {
      // JUnit would end the process for the error itself.
      throw new AssertionError("it does not do without memory", e);
    } finally {
      // Who allocates next has the garbage collected.
      taken.clear();
    }
  }

  private static boolean takes(int size, List<ByteBuffer> taken) {
    try {
      taken.add(ByteBuffer.allocateDirect(size));
      return true;
    } catch (OutOfMemoryError e) {
      return false;
    }
  }
}
