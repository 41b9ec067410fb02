package io.uccl.p2p.cli;

import io.uccl.p2p.cli.BenchMessage.Extent;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * A wrong byte that a test puts into the target's memory, to see that {@code --check} finds it.
 *
 * <p>Nobody plants one unless the system property {@value #PROPERTY} is set: to the iteration, a
 * colon, and the offset in the target's memory.
 */
record PlantedByte(long iteration, long offset) {

  static final String PROPERTY = "p2p.bench.planted";

  /** What the property says, or null if it is not set. */
  static @Nullable PlantedByte fromProperty() {
    String text = System.getProperty(PROPERTY);
    if (text == null) {
      return null;
    }
    int colon = text.indexOf(':');
    return new PlantedByte(
        Long.parseLong(text.substring(0, Math.max(0, colon))),
        Long.parseLong(text.substring(colon + 1)));
  }

  /** Inverts the byte, if it lies in what this iteration moves. */
  void into(Footprint memory, Extent extent) {
    if (extent.iteration() == iteration && offset < extent.bytes()) {
      ByteBuffer view = memory.views(offset, 1).get(0);
      view.put(0, (byte) ~view.get(0));
    }
  }
}
