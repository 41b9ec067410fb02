package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.spi.nativelib.OffHeap;

/**
 * How the queue pairs of a connection reach those of the peer; {@code p2p_verbs.h} draws each as
 * {@code struct p2p_verbs_path}.
 */
final class VerbsPaths {

  private static final int GID = 0;
  private static final int LID = 16;
  private static final int QUEUE_PAIR = 20;
  private static final int THEIR_PSN = 24;
  private static final int OWN_PSN = 28;
  private static final int MTU = 32;
  private static final int SERVICE_LEVEL = 36;
  private static final int TRAFFIC_CLASS = 40;
  private static final int READS_STARTED = 44;
  private static final int READS_SERVED = 48;
  private static final int BY_GID = 52;
  private static final int THEIR_NIC = 56;
  private static final int BYTES = 64;

  private static final String CHOOSE_ADDRESS =
      "Give the interfaces addresses of one kind, or choose them: UCCL_P2P_RDMA_GID_INDEX";

  private final OffHeap bytes;

  VerbsPaths(int count) {
    bytes = new OffHeap(count * BYTES);
  }

  long address() {
    return bytes.address();
  }

  /**
   * Describes the path from a queue pair of this side to the peer's: of two limits the smaller one
   * holds.
   *
   * @param index of the queue pair
   * @param nic its NIC
   * @param ownFirstPacket number of the first packet that it sends
   * @param theirs what the peer has
   * @throws HandshakeException if the two are on networks of different kinds
   */
  void set(int index, VerbsNic nic, int ownFirstPacket, VerbsParameters theirs) {
    VerbsParameters.QueuePair theirPair = theirs.queuePairs().get(index);
    VerbsParameters.Nic theirNic = theirs.nics().get(theirPair.nic());
    VerbsParameters.Nic ourNic = nic.parameters();
    check(ourNic, theirNic);
    VerbsOpening opening = nic.opening();
    int at = index * BYTES;
    byte[] gid = new byte[VerbsFound.GID_BYTES];
    theirNic.gid().duplicate().get(gid);
    bytes.putBytes(at + GID, gid);
    bytes.putInt(at + LID, theirNic.lid());
    bytes.putInt(at + QUEUE_PAIR, theirPair.number());
    bytes.putInt(at + THEIR_PSN, theirPair.firstPacket());
    bytes.putInt(at + OWN_PSN, ownFirstPacket);
    bytes.putInt(at + MTU, Math.min(nic.found().pathMtu(), theirNic.pathMtu()));
    bytes.putInt(at + SERVICE_LEVEL, opening.serviceLevel());
    bytes.putInt(at + TRAFFIC_CLASS, opening.trafficClass());
    int started = Math.min(opening.readsStarted(), nic.found().readsStarted());
    bytes.putInt(at + READS_STARTED, Math.min(started, theirNic.readsServed()));
    bytes.putInt(at + READS_SERVED, nic.readsServed());
    bytes.putInt(at + BY_GID, isByAddress(ourNic, theirNic) ? 1 : 0);
    bytes.putInt(at + THEIR_NIC, theirPair.nic());
  }

  /** A LID means something in its own subnet alone, and not every port answers to one. */
  private static boolean isByAddress(VerbsParameters.Nic ours, VerbsParameters.Nic theirs) {
    boolean elsewhere = ours.hasAddress() && theirs.hasAddress() && !theirs.isInSubnetOf(ours);
    return ours.isByAddress() || theirs.isByAddress() || elsewhere;
  }

  /** What would else be silence: the device connects, and nothing arrives. */
  private static void check(VerbsParameters.Nic ours, VerbsParameters.Nic theirs) {
    if (theirs.isEthernet() != ours.isEthernet()) {
      throw new HandshakeException(
          "one side is on InfiniBand, the other on Ethernet",
          FailureDetail.remedy("Choose devices of one network: UCCL_P2P_RDMA_DEV")
              .withTransport("rdma"));
    }
    if (!isByAddress(ours, theirs)) {
      return;
    }
    if (!theirs.hasAddress()) {
      throw new HandshakeException(
          "the peer's port has no address",
          FailureDetail.remedy("Use the same release of transport-rdma-verbs on both sides")
              .withTransport("rdma"));
    }
    if (ours.isEthernet() && ours.isRoutable() != theirs.isRoutable()) {
      throw new HandshakeException(
          "one side has an address of RoCE v2, the other one of RoCE v1",
          FailureDetail.remedy(CHOOSE_ADDRESS).withTransport("rdma"));
    }
    if (ours.isEthernet() && ours.isIpv4() != theirs.isIpv4()) {
      throw new HandshakeException(
          "one side has an IPv4 address, the other one has none",
          FailureDetail.remedy(CHOOSE_ADDRESS).withTransport("rdma"));
    }
  }
}
