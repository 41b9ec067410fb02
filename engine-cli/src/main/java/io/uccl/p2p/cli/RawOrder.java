package io.uccl.p2p.cli;

import java.io.EOFException;
import java.io.IOException;
import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;

/**
 * What the initiator of a raw copy asks of the target before a run of calls.
 *
 * <pre>
 * offset  size
 *      0     8  token     from the target's invitation
 *      8     8  size      bytes of a block
 *     16     4  numIovs
 *     20     4  calls     in this run
 *     24     1  mode      0 write, 1 read
 *     25     1  spinning  0 or 1
 * </pre>
 *
 * All fields are big-endian. The target answers one byte when it is ready.
 */
record RawOrder(long token, Shape shape, int calls, Mode mode, Variant variant) {

  private static final int BYTES = 26;

  void send(SocketChannel channel) throws IOException {
    ByteBuffer bytes =
        ByteBuffer.allocate(BYTES)
            .putLong(token)
            .putLong(shape.size())
            .putInt(shape.numIovs())
            .putInt(calls)
            .put((byte) (mode == Mode.READ ? 1 : 0))
            .put((byte) (variant == Variant.SPINNING ? 1 : 0))
            .flip();
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /**
   * Reads the next order from a blocking channel.
   *
   * @throws EOFException if the initiator has ended the connection
   * @throws ProtocolException if these bytes are no order
   */
  static RawOrder receive(SocketChannel channel) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(BYTES);
    while (bytes.hasRemaining()) {
      if (channel.read(bytes) < 0) {
        throw new EOFException("the initiator ended the raw copy");
      }
    }
    bytes.flip();
    long token = bytes.getLong();
    long size = bytes.getLong();
    int numIovs = bytes.getInt();
    int calls = bytes.getInt();
    byte mode = bytes.get();
    byte spinning = bytes.get();
    if (calls < 1 || mode < 0 || mode > 1 || spinning < 0 || spinning > 1) {
      throw new ProtocolException("it sent no order for a raw copy");
    }
    try {
      return new RawOrder(
          token,
          new Shape(size, numIovs),
          calls,
          mode == 1 ? Mode.READ : Mode.WRITE,
          spinning == 1 ? Variant.SPINNING : Variant.BLOCKING);
    } catch (IllegalArgumentException e) {
      ProtocolException refusal = new ProtocolException("it sent no order: " + e.getMessage());
      refusal.initCause(e);
      throw refusal;
    }
  }
}
