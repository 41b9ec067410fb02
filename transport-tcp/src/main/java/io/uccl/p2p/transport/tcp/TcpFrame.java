package io.uccl.p2p.transport.tcp;

import java.nio.ByteBuffer;

/**
 * The header of every frame on a data connection, and what its fields mean.
 *
 * <pre>
 * offset  size  field
 *      0     1  kind            see the constants
 *      1     1  flags           1: last frame of its operation
 *      2     2  status          of DONE: 0, or why the operation was refused
 *      4     4  payload         bytes that follow this header
 *      8     8  id              the operation, as the initiator numbers it; HELLO: acceptor's cookie
 *     16     8  address         first byte of the operation in the target; HELLO: connector's cookie
 *     24     8  length          bytes of the operation
 *     32     8  offset          of this frame's payload within the operation
 *     40     4  rid             region in the target
 *     44     4  0
 *     48     8  idx             life and epoch of the region
 *     56     8  key             of the region
 * </pre>
 *
 * All fields are little-endian. Every WRITE frame describes its whole operation, so the target
 * needs no memory of earlier frames to check it, and refuses either all of an operation or, if the
 * region is closed in between, the rest of it.
 */
final class TcpFrame {

  static final int HEADER_BYTES = 64;

  /** The longest payload: what a small operation waits for at most, per large one under way. */
  static final int MAX_PAYLOAD = 256 << 10;

  /** First frame of the connecting side. */
  static final int HELLO = 1;

  /** The accepting side's answer to {@link #HELLO}. */
  static final int WELCOME = 2;

  /** A piece of a write, initiator to target. */
  static final int WRITE = 3;

  /** A request to read, initiator to target. */
  static final int READ = 4;

  /** A piece of what was asked for, target to initiator. */
  static final int DATA = 5;

  /** A write is in place, or an operation was refused; target to initiator. */
  static final int DONE = 6;

  static final int FLAG_LAST = 1;

  static final int STATUS_OK = 0;
  static final int STATUS_NO_REGION = 1;
  static final int STATUS_OTHER_LIFE = 2;
  static final int STATUS_KEY = 3;
  static final int STATUS_BOUNDS = 4;
  static final int STATUS_ACCESS = 5;

  private TcpFrame() {}

  static void put(
      ByteBuffer to,
      int at,
      int kind,
      int flags,
      int status,
      int payload,
      long id,
      long address,
      long length,
      long offset,
      int rid,
      long idx,
      long key) {
    to.putInt(at, kind | flags << 8 | status << 16);
    to.putInt(at + 4, payload);
    to.putLong(at + 8, id);
    to.putLong(at + 16, address);
    to.putLong(at + 24, length);
    to.putLong(at + 32, offset);
    to.putInt(at + 40, rid);
    to.putInt(at + 44, 0);
    to.putLong(at + 48, idx);
    to.putLong(at + 56, key);
  }

  static int kind(ByteBuffer from, int at) {
    return from.get(at);
  }

  static boolean last(ByteBuffer from, int at) {
    return (from.get(at + 1) & FLAG_LAST) != 0;
  }

  static int status(ByteBuffer from, int at) {
    return Short.toUnsignedInt(from.getShort(at + 2));
  }

  static int payload(ByteBuffer from, int at) {
    return from.getInt(at + 4);
  }

  static long id(ByteBuffer from, int at) {
    return from.getLong(at + 8);
  }

  static long address(ByteBuffer from, int at) {
    return from.getLong(at + 16);
  }

  static long length(ByteBuffer from, int at) {
    return from.getLong(at + 24);
  }

  static long offset(ByteBuffer from, int at) {
    return from.getLong(at + 32);
  }

  static int rid(ByteBuffer from, int at) {
    return from.getInt(at + 40);
  }

  static long idx(ByteBuffer from, int at) {
    return from.getLong(at + 48);
  }

  static long key(ByteBuffer from, int at) {
    return from.getLong(at + 56);
  }

  /** What to do when an operation was refused, for people. */
  static String remedyFor(int status) {
    return switch (status) {
      case STATUS_BOUNDS -> "Stay within the range that the peer advertised";
      case STATUS_ACCESS -> "Have the peer register the region with the access that is needed";
      default -> "Ask the peer for a new descriptor";
    };
  }

  /** Why an operation was refused, for people. */
  static String describeStatus(int status) {
    return switch (status) {
      case STATUS_NO_REGION -> "the target has no such region; it was closed";
      case STATUS_OTHER_LIFE -> "the descriptor was made by an earlier life of the target";
      case STATUS_KEY -> "the descriptor's key is wrong";
      case STATUS_BOUNDS -> "the range lies outside the target's region";
      case STATUS_ACCESS -> "the target's region does not allow this kind of access";
      default -> "the target refused it with status " + status;
    };
  }
}
