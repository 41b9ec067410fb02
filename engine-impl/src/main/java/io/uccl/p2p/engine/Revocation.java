package io.uccl.p2p.engine;

import io.uccl.p2p.spi.RegionName;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A region on its way to be closed: which peers were told, and have not said yet that nothing of
 * theirs uses it any more. It is over when all have. One thread may wait for it; the rest is the
 * owner's.
 */
final class Revocation implements ProgressLoop.Awaited {

  private final RegionName name;
  private final List<DefaultConnection> using = new ArrayList<>(0);
  private volatile boolean over;
  private volatile @Nullable Thread waiter;

  /** Of a region, told to all peers that take it. */
  Revocation(RegionName name, Iterable<DefaultConnection> connections) {
    this.name = name;
    for (DefaultConnection connection : connections) {
      if (connection.revoke(name)) {
        using.add(connection);
      }
    }
    over = using.isEmpty();
  }

  boolean isOf(int rid, long idx) {
    return name.rid() == rid && name.idx() == idx;
  }

  /** A peer has drained the region, or is gone. */
  void drained(DefaultConnection connection) {
    using.remove(connection);
    if (using.isEmpty()) {
      over = true;
      LockSupport.unpark(waiter);
    }
  }

  @Override
  public boolean isOver() {
    return over;
  }

  @Override
  public void waiter(@Nullable Thread thread) {
    waiter = thread;
  }
}
