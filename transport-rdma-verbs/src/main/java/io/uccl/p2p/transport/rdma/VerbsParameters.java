package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * What each side of a handshake tells the other: its NICs, and the queue pairs of this connection.
 *
 * <pre>
 * offset size
 *      0    2  version of this layout: 1
 *      2    1  n: NICs, 1 to 4
 *      3    1  m: queue pairs, 1 to 16
 *      4 24*n  the NICs
 *   then 12*m  the queue pairs
 *
 * a NIC
 *      0   16  address (GID) of its port; zeros if it has none
 *     16    2  LID of its port; 0 on Ethernet
 *     18    1  link layer: 1 InfiniBand, 2 Ethernet
 *     19    1  path MTU, as verbs number it: 1 is 256 bytes, 5 is 4096
 *     20    1  reads that a queue pair serves at a time
 *     21    1  1: the address is RoCE v2's
 *     22    1  1: it is reached by address alone, also on InfiniBand
 *     23    1  0
 *
 * a queue pair
 *      0    1  which NIC, from 0 on
 *      1    3  0
 *      4    4  number
 *      8    4  number of the first packet that it sends
 * </pre>
 *
 * All fields are little-endian. Queue pair i of one side is connected to queue pair i of the other,
 * as far as both have one.
 *
 * @param nics 1 to 4
 * @param queuePairs 1 to 16
 */
record VerbsParameters(List<Nic> nics, List<QueuePair> queuePairs) {

  private static final short VERSION = 1;
  private static final int HEAD_BYTES = 4;
  private static final int NIC_BYTES = 24;
  private static final int QUEUE_PAIR_BYTES = 12;

  private static final byte INFINIBAND = 1;
  private static final byte ETHERNET = 2;
  private static final int LEAST_MTU = 1;
  private static final int MOST_MTU = 5;

  /** Of a connection; the shim has no room for more. */
  static final int MOST_QUEUE_PAIRS = 16;

  private static final int MOST_NUMBER = (1 << 24) - 1;

  /**
   * The port of a NIC.
   *
   * @param gid its address in 16 bytes, zeros if it has none
   * @param lid its number on InfiniBand
   * @param isEthernet whether it is RoCE
   * @param pathMtu 1 to 5
   * @param readsServed reads that a queue pair serves at a time, 0 to 255
   * @param isRoutable whether the address is RoCE v2's
   * @param isByAddress whether it is reached by address alone, as always on Ethernet
   */
  record Nic(
      ByteBuffer gid,
      int lid,
      boolean isEthernet,
      int pathMtu,
      int readsServed,
      boolean isRoutable,
      boolean isByAddress) {

    boolean hasAddress() {
      return gid.getLong(0) != 0 || gid.getLong(Long.BYTES) != 0;
    }

    /** Whether another address is in the same subnet of InfiniBand: LIDs mean something there. */
    boolean isInSubnetOf(Nic other) {
      return gid.getLong(0) == other.gid.getLong(0);
    }

    /** Whether the address is one of IPv4, mapped into IPv6. */
    boolean isIpv4() {
      return gid.getLong(0) == 0 && gid.getShort(8) == 0 && gid.getShort(10) == -1;
    }
  }

  /**
   * A queue pair.
   *
   * @param nic index of its NIC
   * @param number 24 bits
   * @param firstPacket 24 bits
   */
  record QueuePair(int nic, int number, int firstPacket) {}

  /** The bytes that go to the other side. */
  byte[] encode() {
    byte[] encoded =
        new byte[HEAD_BYTES + NIC_BYTES * nics.size() + QUEUE_PAIR_BYTES * queuePairs.size()];
    ByteBuffer bytes = littleEndian(encoded);
    bytes.putShort(VERSION).put((byte) nics.size()).put((byte) queuePairs.size());
    for (Nic nic : nics) {
      bytes.put(nic.gid().duplicate()).putShort((short) nic.lid());
      bytes.put(nic.isEthernet() ? ETHERNET : INFINIBAND);
      bytes.put((byte) nic.pathMtu()).put((byte) nic.readsServed());
      bytes
          .put((byte) (nic.isRoutable() ? 1 : 0))
          .put((byte) (nic.isByAddress() ? 1 : 0))
          .put((byte) 0);
    }
    for (QueuePair pair : queuePairs) {
      bytes.put((byte) pair.nic()).put(new byte[3]);
      bytes.putInt(pair.number()).putInt(pair.firstPacket());
    }
    return encoded;
  }

  /**
   * Reads what the other side sent.
   *
   * @throws HandshakeException if it makes no sense
   */
  static VerbsParameters decode(byte[] encoded) {
    ByteBuffer bytes = littleEndian(encoded);
    if (encoded.length < HEAD_BYTES) {
      throw senseless(encoded.length + " bytes");
    }
    int version = Short.toUnsignedInt(bytes.getShort());
    int nicCount = Byte.toUnsignedInt(bytes.get());
    int pairCount = Byte.toUnsignedInt(bytes.get());
    if (version != VERSION) {
      throw new HandshakeException(
          "the peer's rdma parameters have version " + version + ", not " + VERSION,
          FailureDetail.remedy("Use the same release of transport-rdma-verbs on both sides"));
    }
    int length = HEAD_BYTES + NIC_BYTES * nicCount + QUEUE_PAIR_BYTES * pairCount;
    if (nicCount == 0
        || nicCount > VerbsKeys.MOST
        || pairCount == 0
        || pairCount > MOST_QUEUE_PAIRS
        || encoded.length != length) {
      throw senseless(
          encoded.length + " bytes for " + nicCount + " NICs and " + pairCount + " queue pairs");
    }
    List<Nic> nics = new ArrayList<>();
    for (int i = 0; i < nicCount; i++) {
      nics.add(nic(bytes));
    }
    List<QueuePair> pairs = new ArrayList<>();
    for (int i = 0; i < pairCount; i++) {
      pairs.add(queuePair(bytes, nicCount));
    }
    return new VerbsParameters(List.copyOf(nics), List.copyOf(pairs));
  }

  private static Nic nic(ByteBuffer bytes) {
    byte[] gid = new byte[VerbsFound.GID_BYTES];
    bytes.get(gid);
    int lid = Short.toUnsignedInt(bytes.getShort());
    byte linkLayer = bytes.get();
    int pathMtu = bytes.get();
    int readsServed = Byte.toUnsignedInt(bytes.get());
    boolean isRoutable = bytes.get() == 1;
    boolean isByAddress = bytes.get() == 1;
    skip(bytes, 1);
    if (linkLayer != INFINIBAND && linkLayer != ETHERNET) {
      throw senseless("link layer " + linkLayer);
    }
    if (pathMtu < LEAST_MTU || pathMtu > MOST_MTU) {
      throw senseless("path MTU " + pathMtu);
    }
    return new Nic(
        ByteBuffer.wrap(gid),
        lid,
        linkLayer == ETHERNET,
        pathMtu,
        readsServed,
        isRoutable,
        isByAddress);
  }

  private static QueuePair queuePair(ByteBuffer bytes, int nicCount) {
    int nic = Byte.toUnsignedInt(bytes.get());
    skip(bytes, 3);
    int number = bytes.getInt();
    int firstPacket = bytes.getInt();
    if (nic >= nicCount) {
      throw senseless("a queue pair of NIC " + nic + " of " + nicCount);
    }
    if (number < 0 || number > MOST_NUMBER || firstPacket < 0 || firstPacket > MOST_NUMBER) {
      throw senseless("queue pair " + number + ", packet " + firstPacket);
    }
    return new QueuePair(nic, number, firstPacket);
  }

  /** Bytes that mean nothing yet. */
  private static void skip(ByteBuffer bytes, int count) {
    bytes.position(bytes.position() + count);
  }

  private static ByteBuffer littleEndian(byte[] bytes) {
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static HandshakeException senseless(String what) {
    return new HandshakeException(
        "the peer's rdma parameters make no sense: " + what,
        FailureDetail.remedy("See that it is a process of this project"));
  }
}
