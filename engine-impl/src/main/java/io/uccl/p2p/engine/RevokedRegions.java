package io.uccl.p2p.engine;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The regions that one peer has revoked: nothing more is posted to them, and those that operations
 * in flight still use are counted down until the peer can be told that they are drained. Only the
 * owner of the transport uses it. Asking and counting allocate nothing.
 *
 * <p>Of all that were revoked the latest are remembered, {@value #REMEMBERED} when their epochs
 * follow each other. A descriptor of an older one is refused by the peer, or by its network card.
 */
final class RevokedRegions {

  private static final int REMEMBERED = 256;

  /** A revoked region that is still in use. */
  static final class Drain {
    private final int rid;
    private final long idx;
    private int inFlight;

    private Drain(int rid, long idx, int inFlight) {
      this.rid = rid;
      this.idx = idx;
      this.inFlight = inFlight;
    }

    int rid() {
      return rid;
    }

    long idx() {
      return idx;
    }
  }

  // By the low bits of the epoch. 0 is no region: the life in it is never 0.
  private long @Nullable [] latest;
  private final List<Drain> drains = new ArrayList<>(0);

  /** Whether a region was revoked, by the life and epoch in its descriptors. */
  boolean contains(long idx) {
    return latest != null && latest[slot(idx)] == idx;
  }

  boolean isEmpty() {
    return latest == null;
  }

  /**
   * Notes that a region was revoked.
   *
   * @param inFlight operations of this side that the transport has and that use it
   * @return true if there are none, so that it is drained now
   */
  boolean add(int rid, long idx, int inFlight) {
    if (latest == null) {
      latest = new long[REMEMBERED];
    }
    latest[slot(idx)] = idx;
    if (inFlight > 0 && find(idx) < 0) {
      drains.add(new Drain(rid, idx, inFlight));
    }
    return inFlight == 0;
  }

  boolean isDraining() {
    return !drains.isEmpty();
  }

  /** An operation has ended; returns the region that is drained by that, or null. */
  @Nullable Drain ended(long idx) {
    int at = find(idx);
    if (at < 0) {
      return null;
    }
    Drain drain = drains.get(at);
    drain.inFlight--;
    return drain.inFlight == 0 ? drains.remove(at) : null;
  }

  private int find(long idx) {
    for (int i = 0; i < drains.size(); i++) {
      if (drains.get(i).idx == idx) {
        return i;
      }
    }
    return -1;
  }

  private static int slot(long idx) {
    return (int) idx & REMEMBERED - 1;
  }
}
