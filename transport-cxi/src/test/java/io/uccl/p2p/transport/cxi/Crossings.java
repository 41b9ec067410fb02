package io.uccl.p2p.transport.cxi;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * How often Java has called the shim, in the file that a build of it for tests maps: {@code
 * P2P_CXI_CROSSINGS}. The layout, and what each means, is in {@code p2p_cxi_crossings.c}.
 */
// The positions in the enum are the layout.
@SuppressWarnings("EnumOrdinal")
final class Crossings {

  /** In the order of {@code struct counts}. */
  enum Count {
    POSTS,
    POLLS,
    FRUITFUL_POLLS,
    COMPLETIONS,
    AWAITS
  }

  private final ByteBuffer block;

  /** Maps the file; it is made when it is not there. */
  Crossings(Path file) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      block =
          channel
              .map(FileChannel.MapMode.READ_WRITE, 0, 8L * Count.values().length)
              .order(ByteOrder.nativeOrder());
    }
  }

  long get(Count count) {
    return block.getLong(8 * count.ordinal());
  }
}
