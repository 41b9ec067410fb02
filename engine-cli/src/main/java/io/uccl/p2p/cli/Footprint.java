package io.uccl.p2p.cli;

import io.uccl.p2p.MemoryRegion;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** Memory of any length, seen through direct buffers of at most {@link #WINDOW} bytes. */
final class Footprint {

  /** The most bytes of one view: a buffer cannot have more than 2 GiB. A multiple of eight. */
  static final int WINDOW = 1 << 30;

  private final long length;
  private final Slicer slicer;

  /** For tests of lengths that no test has memory for. */
  Footprint(long length, Slicer slicer) {
    this.length = length;
    this.slicer = slicer;
  }

  /** A region's memory. */
  static Footprint of(MemoryRegion region) {
    return new Footprint(region.length(), region::slice);
  }

  /** A buffer's memory, from 0 to its capacity. */
  static Footprint of(ByteBuffer buffer) {
    return new Footprint(
        buffer.capacity(), (offset, bytes) -> buffer.slice(Math.toIntExact(offset), bytes));
  }

  /** Bytes. */
  long length() {
    return length;
  }

  /** The first bytes of it. */
  Footprint first(long bytes) {
    Objects.checkFromToIndex(0L, bytes, length);
    return new Footprint(bytes, slicer);
  }

  /** Views that cover a range, in order. */
  List<ByteBuffer> views(long offset, long bytes) {
    Objects.checkFromIndexSize(offset, bytes, length);
    List<ByteBuffer> views = new ArrayList<>();
    for (long done = 0; done < bytes; done += WINDOW) {
      views.add(slicer.slice(offset + done, (int) Math.min(WINDOW, bytes - done)));
    }
    return views;
  }

  /** Makes a view of a part. */
  interface Slicer {
    ByteBuffer slice(long offset, int length);
  }
}
