package io.uccl.p2p.engine;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.RegionInUseException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Closes regions step by step:
 *
 * <ol>
 *   <li>No new operations of ours; refused while there are old ones.
 *   <li>Peers are told, and start nothing more; a while is given to what they have under way.
 *   <li>Peers reach it no more: the registration is closed.
 *   <li>The transport releases it, once nothing of ours uses it any more: on the reaper.
 *   <li>Memory that the engine allocated is given back, there too.
 * </ol>
 *
 * The caller waits for all of it, but within a second: the last two go on without it.
 */
final class RegionCloser {

  private static final Logger LOG = LoggerFactory.getLogger(RegionCloser.class);

  /** How long peers have for what is under way. */
  private static final long DRAIN_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private static final CompletableFuture<Void> NOTHING = CompletableFuture.completedFuture(null);

  private final ProgressLoop loop;
  private final Reaper reaper;
  private final String transport;

  // -- the owner's
  private final RegionRegistry regions;
  private final List<DefaultConnection> connections;
  private final LateOperations late;
  // Those that peers were told of and may still use.
  private final List<Revocation> revocations = new ArrayList<>();
  // Closed ones that late operations use.
  private final List<DefaultMemoryRegion> waiting = new ArrayList<>();

  RegionCloser(
      ProgressLoop loop,
      Reaper reaper,
      String transport,
      RegionRegistry regions,
      List<DefaultConnection> connections,
      LateOperations late) {
    this.loop = loop;
    this.reaper = reaper;
    this.transport = transport;
    this.regions = regions;
    this.connections = connections;
    this.late = late;
  }

  /**
   * Closes a region. Any thread; whoever comes second waits for the first.
   *
   * @throws RegionInUseException if operations use it; it stays open
   * @throws io.uccl.p2p.TransportException if the transport keeps it; the next close tries again
   */
  void close(DefaultMemoryRegion region) {
    long start = System.nanoTime();
    region.lockForClosing();
    try {
      if (region.isClosed()) {
        // With its engine, perhaps, while the network still has the caller's memory; or the
        // transport has kept it.
        loop.call(() -> deregister(region));
        return;
      }
      Revocation revocation = loop.call(() -> revoke(region));
      loop.awaitUninterrupted(revocation, true, start + DRAIN_NANOS);
      CompletableFuture<Void> released =
          loop.call(
              () -> {
                revocations.remove(revocation);
                return deregister(region);
              });
      if (!Reaper.await(released, start + Reaper.PATIENCE_NANOS)) {
        LOG.warn("{} is closed, but the transport has not released its memory yet", region);
      }
    } finally {
      region.unlockAfterClosing();
    }
  }

  // -- the owner

  private Revocation revoke(DefaultMemoryRegion region) {
    refuseIfUsed(region);
    region.markClosed();
    Revocation revocation =
        new Revocation(region.name(), region.isAdvertised() ? connections : List.of());
    if (!revocation.isOver()) {
      revocations.add(revocation);
    }
    return revocation;
  }

  private boolean refuseIfUsed(DefaultMemoryRegion region) {
    RegionUses uses = new RegionUses(region);
    connections.forEach(connection -> connection.collect(uses));
    if (!region.isAllocated()) {
      late.collect(uses);
    }
    if (!uses.isEmpty()) {
      throw new RegionInUseException(
          region + " cannot be closed, because it is used by " + uses,
          FailureDetail.NONE
              .withTransport(transport)
              .withRemedy(
                  "Wait until the buffer of each transfer is FREE; those in flight also end when"
                      + " their connection is closed"));
    }
    return true;
  }

  /** A peer has drained a region; one that was closed in the meantime does not matter any more. */
  void drained(DefaultConnection connection, int rid, long idx) {
    for (int i = 0; i < revocations.size(); i++) {
      if (revocations.get(i).isOf(rid, idx)) {
        revocations.get(i).drained(connection);
      }
    }
  }

  /** A connection has ended: its peer reaches no region through it any more. */
  void gone(DefaultConnection connection) {
    revocations.forEach(revocation -> revocation.drained(connection));
  }

  private CompletableFuture<Void> deregister(DefaultMemoryRegion region) {
    if (!regions.contains(region)) {
      // The engine was closed in the meantime, or the region was before.
      refuseIfUsed(region);
      return NOTHING;
    }
    region.deregister();
    regions.remove(region);
    if (isUsedByLate(region)) {
      waiting.add(region);
      return NOTHING;
    }
    return release(region);
  }

  /** A late operation was reported: releases the closed regions that no other one uses. */
  void releaseUnused() {
    for (int i = waiting.size() - 1; i >= 0; i--) {
      if (!isUsedByLate(waiting.get(i))) {
        // Its close has returned long ago, so nobody waits.
        CompletableFuture<Void> unused = release(waiting.remove(i));
      }
    }
  }

  private boolean isUsedByLate(DefaultMemoryRegion region) {
    return late.use(region);
  }

  private CompletableFuture<Void> release(DefaultMemoryRegion region) {
    return reaper.run(
        "release of " + region,
        () -> {
          region.release();
          region.giveBack();
        });
  }

  /**
   * Deregisters all that are open, for the end of the engine, and returns them and those that wait
   * for late operations: whoever calls this releases them.
   */
  List<DefaultMemoryRegion> closeAll() {
    List<DefaultMemoryRegion> all = new ArrayList<>(waiting);
    waiting.clear();
    for (DefaultMemoryRegion region : regions.takeAll()) {
      region.markClosed();
      try {
        region.deregister();
      } catch (RuntimeException | Error e) {
        // Whatever it was, the transport is still to be closed.
        LOG.warn("closing {} failed: {}", region, OneLine.of(e));
      }
      all.add(region);
    }
    return all;
  }
}
