package io.uccl.p2p.engine;

import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.spi.RegionName;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The open regions of an engine, and the names that they get. Only the owner uses it, except for
 * {@link #syntheticAddress}.
 */
final class RegionRegistry {

  // Far from what the kernel gives a process, so that one is not mistaken for the other.
  private static final long SYNTHETIC_BASE = 0x4000_0000_0000_0000L;
  private static final long SYNTHETIC_UNIT = 1L << 31;

  private final AtomicLong synthetic = new AtomicLong(SYNTHETIC_BASE);
  private final Set<DefaultMemoryRegion> open = new LinkedHashSet<>();
  private int lastRid;
  private int epoch;

  /** A name that no region of this engine has had: ids come round, epochs do not so soon. */
  RegionName name(int life, RegionAccess access) {
    lastRid = lastRid == Integer.MAX_VALUE ? 1 : lastRid + 1;
    epoch++;
    return new RegionName(lastRid, (long) life << 32 | Integer.toUnsignedLong(epoch), access);
  }

  /** An address for a buffer whose own is not known; ranges do not overlap. Any thread. */
  long syntheticAddress(int length) {
    long units = (length + SYNTHETIC_UNIT - 1) / SYNTHETIC_UNIT;
    return synthetic.getAndAdd(Math.max(1, units) * SYNTHETIC_UNIT);
  }

  void add(DefaultMemoryRegion region) {
    open.add(region);
  }

  boolean contains(DefaultMemoryRegion region) {
    return open.contains(region);
  }

  void remove(DefaultMemoryRegion region) {
    open.remove(region);
  }

  List<DefaultMemoryRegion> takeAll() {
    List<DefaultMemoryRegion> all = new ArrayList<>(open);
    open.clear();
    return all;
  }
}
