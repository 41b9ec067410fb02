package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.TransportException;

/**
 * A reliable connected queue pair of a NIC. Made, it receives nothing; connected, it carries
 * operations; broken, it gives back what it has; destroyed, it is no more.
 *
 * <p>Threads: the transport's owner, then the engine's thread for releases.
 */
final class VerbsQueuePair {

  private final VerbsNic nic;
  private final int tag;
  private final long handle;
  private final int number;
  private final int firstPacket;
  private final VerbsReport report = new VerbsReport();
  private boolean destroyed;

  /**
   * Makes one.
   *
   * @param tag what its completions and events carry
   * @param depth operations that can be outstanding on it, if the device can
   * @param firstPacket number of the first packet that it sends, 24 bits
   * @throws TransportException if the device has no room for it
   */
  VerbsQueuePair(VerbsNic nic, int tag, int depth, int firstPacket) {
    this.nic = nic;
    this.tag = tag;
    this.firstPacket = firstPacket;
    OffHeap numbered = new OffHeap(Long.BYTES);
    handle =
        VerbsShim.createQueuePair(
            nic.handle(),
            Math.min(depth, nic.found().sendDepth()),
            tag,
            numbered.address(),
            report.address());
    if (handle < 0) {
      throw report.failure(
          "the device makes no queue pair for another connection",
          "Close connections, or raise the limit of locked memory (ulimit -l); see max_qp in"
              + " ibv_devinfo -v");
    }
    number = (int) numbered.getLong(0);
  }

  int tag() {
    return tag;
  }

  int number() {
    return number;
  }

  int firstPacket() {
    return firstPacket;
  }

  /**
   * Connects it to the peer's.
   *
   * @throws HandshakeException if the device refuses
   */
  void connect(VerbsParameters.Nic theirs, VerbsParameters.QueuePair theirPair) {
    VerbsPath path = new VerbsPath(nic, firstPacket, theirs, theirPair);
    if (VerbsShim.connect(handle, path.address(), report.address()) < 0) {
      throw new HandshakeException(
          "the device does not connect to the peer's queue pair",
          report.detail(
              "See that the peer's address can be reached from this one (ping), and that both ports"
                  + " are in one network; UCCL_P2P_RDMA_GID_INDEX chooses another address"));
    }
  }

  /** How many were taken, or {@code -errno} if the first one can never be posted. */
  long post(long slots, int count) {
    return VerbsShim.post(handle, slots, count, report.address());
  }

  /** Why the last call failed. */
  VerbsReport report() {
    return report;
  }

  /**
   * What is outstanding comes back, and the peer is served no more. A device that refuses has
   * failed, which its events tell.
   */
  void breakConnection() {
    if (!destroyed) {
      VerbsShim.breakQueuePair(handle, report.address());
    }
  }

  /**
   * Destroys it; nothing touches the memory of its operations any more. Idempotent.
   *
   * @param outstandingToo if operations are outstanding, which nobody polls for any more
   * @return false if the device keeps it; or operations are outstanding, and may not be
   */
  boolean destroy(boolean outstandingToo) {
    if (!destroyed && VerbsShim.destroyQueuePair(handle, outstandingToo, report.address()) >= 0) {
      destroyed = true;
      nic.forget(this);
    }
    return destroyed;
  }
}
