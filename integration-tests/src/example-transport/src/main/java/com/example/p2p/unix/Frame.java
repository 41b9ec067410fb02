package com.example.p2p.unix;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * What travels over a socket: a header of 64 bytes, and a payload behind it.
 *
 * <pre>
 * offset  size  field
 *      0     4  kind
 *      4     4  status    of ANSWER
 *      8     8  id        the initiator's number of the operation; HELLO: the receiver's cookie
 *     16     8  idx       \
 *     24     4  rid        | the region, from the descriptor; HELLO: key is the sender's cookie
 *     28     4  payload    | bytes behind this header
 *     32     8  key       /
 *     40     8  address   first byte of the operation in the target's address space
 *     48     8  length    of the whole operation
 *     56     8  offset    of this payload in the operation
 * </pre>
 *
 * All fields are little-endian. A WRITE carries a piece, and names the whole operation each time,
 * so that the target needs no memory of earlier pieces. A READ is answered by pieces in DATA
 * frames. An ANSWER says how a write ended, or that a read was refused.
 */
record Frame(
    Kind kind,
    Status status,
    long id,
    long idx,
    int rid,
    int payload,
    long key,
    long address,
    long length,
    long offset) {

  static final int HEADER_BYTES = 64;
  static final int MAX_PAYLOAD = 32 * 1024;
  static final int MAX_BYTES = HEADER_BYTES + MAX_PAYLOAD;

  private static final Kind[] KINDS = Kind.values();
  private static final Status[] STATUSES = Status.values();

  enum Kind {
    HELLO,
    WRITE,
    READ,
    DATA,
    ANSWER
  }

  /** What the target says to an operation. */
  enum Status {
    OK("nothing is wrong"),
    NO_REGION("the target's region is closed, or was never there"),
    OTHER_LIFE("the descriptor was made by an earlier life of the target"),
    KEY("the descriptor's key is not the region's"),
    BOUNDS("the range does not lie in the target's region"),
    ACCESS("the target's region does not allow this");

    final String text;

    Status(String text) {
      this.text = text;
    }
  }

  static Frame hello(long receiver, long sender) {
    return new Frame(Kind.HELLO, Status.OK, receiver, 0, 0, 0, sender, 0, 0, 0);
  }

  static Frame data(long id, long length, long offset, int payload) {
    return new Frame(Kind.DATA, Status.OK, id, 0, 0, payload, 0, 0, length, offset);
  }

  static Frame answer(long id, Status status) {
    return new Frame(Kind.ANSWER, status, id, 0, 0, 0, 0, 0, 0, 0);
  }

  /** True if nothing of the operation follows. */
  boolean isLast() {
    return offset + payload == length;
  }

  /** Writes the header; the payload is the caller's to append. */
  void encode(ByteBuffer target) {
    target
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(kind.ordinal())
        .putInt(status.ordinal())
        .putLong(id)
        .putLong(idx)
        .putInt(rid)
        .putInt(payload)
        .putLong(key)
        .putLong(address)
        .putLong(length)
        .putLong(offset);
  }

  /**
   * Reads the header that starts at the buffer's position, and leaves the position there. Whatever
   * a peer sends, the payload is a piece of the operation's length afterwards.
   */
  static Frame decode(ByteBuffer source) throws IOException {
    ByteBuffer header =
        source.slice(source.position(), HEADER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    int kind = header.getInt();
    int status = header.getInt();
    if (kind < 0 || kind >= KINDS.length || status < 0 || status >= STATUSES.length) {
      throw new IOException("the peer sent a frame of kind " + kind + " and status " + status);
    }
    Frame frame =
        new Frame(
            KINDS[kind],
            STATUSES[status],
            header.getLong(),
            header.getLong(),
            header.getInt(),
            header.getInt(),
            header.getLong(),
            header.getLong(),
            header.getLong(),
            header.getLong());
    boolean carries = frame.kind == Kind.WRITE || frame.kind == Kind.DATA;
    if (frame.payload < 0
        || frame.payload > (carries ? MAX_PAYLOAD : 0)
        || frame.length < 0
        || frame.offset < 0
        || frame.offset > frame.length - frame.payload) {
      throw new IOException("the peer sent a frame that makes no sense: " + frame);
    }
    return frame;
  }
}
