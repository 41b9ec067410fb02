package io.uccl.p2p.transport.rdma;

/**
 * How a queue pair reaches the one of the peer; {@code p2p_verbs.h} draws it as {@code struct
 * p2p_verbs_path}.
 */
final class VerbsPath {

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
  private static final int BYTES = 56;

  private final OffHeap bytes = new OffHeap(BYTES);

  /** The path from a queue pair of this side: of two limits the smaller one holds. */
  VerbsPath(
      VerbsNic nic,
      int ownFirstPacket,
      VerbsParameters.Nic theirs,
      VerbsParameters.QueuePair theirPair) {
    VerbsOpening opening = nic.opening();
    byte[] gid = new byte[VerbsFound.GID_BYTES];
    theirs.gid().duplicate().get(gid);
    bytes.putBytes(GID, gid);
    bytes.putInt(LID, theirs.lid());
    bytes.putInt(QUEUE_PAIR, theirPair.number());
    bytes.putInt(THEIR_PSN, theirPair.firstPacket());
    bytes.putInt(OWN_PSN, ownFirstPacket);
    bytes.putInt(MTU, Math.min(nic.found().pathMtu(), theirs.pathMtu()));
    bytes.putInt(SERVICE_LEVEL, opening.serviceLevel());
    bytes.putInt(TRAFFIC_CLASS, opening.trafficClass());
    int started = Math.min(opening.readsStarted(), nic.found().readsStarted());
    bytes.putInt(READS_STARTED, Math.min(started, theirs.readsServed()));
    bytes.putInt(READS_SERVED, nic.readsServed());
    bytes.putInt(BY_GID, opening.isByAddress() ? 1 : 0);
  }

  long address() {
    return bytes.address();
  }
}
