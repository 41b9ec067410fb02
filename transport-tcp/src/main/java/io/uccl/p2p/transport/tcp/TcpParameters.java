package io.uccl.p2p.transport.tcp;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * What the tcp transport puts into a handshake.
 *
 * <pre>
 * offset   size  field
 *      0      1  version   1
 *      1      1  n         4 or 16
 *      2      2  port      of the sender's data listener
 *      4      8  cookie    by which the data connection is matched to the handshake
 *     12      n  address   of the sender's data listener
 * </pre>
 *
 * Little-endian.
 *
 * @param listener where the sender takes data connections
 * @param cookie 64 random bits
 */
record TcpParameters(InetSocketAddress listener, long cookie) {

  private static final int FIXED = 12;
  private static final int VERSION = 1;

  byte[] encode() {
    byte[] ip = listener.getAddress().getAddress();
    return ByteBuffer.allocate(FIXED + ip.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put((byte) VERSION)
        .put((byte) ip.length)
        .putShort((short) listener.getPort())
        .putLong(cookie)
        .put(ip)
        .array();
  }

  static TcpParameters decode(byte[] bytes) {
    ByteBuffer from = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    if (bytes.length < FIXED || from.get(0) != VERSION) {
      throw refused(
          bytes.length < 1
              ? "they are empty"
              : "they have version " + from.get(0) + " and " + bytes.length + " bytes");
    }
    int n = from.get(1);
    int port = Short.toUnsignedInt(from.getShort(2));
    if ((n != 4 && n != 16) || bytes.length != FIXED + n || port == 0) {
      throw refused("address of " + n + " bytes, port " + port + ", " + bytes.length + " bytes");
    }
    byte[] ip = new byte[n];
    from.get(FIXED, ip);
    try {
      return new TcpParameters(
          new InetSocketAddress(InetAddress.getByAddress(ip), port), from.getLong(4));
    } catch (UnknownHostException e) {
      throw new IllegalStateException("4 or 16 bytes are always an address", e);
    }
  }

  private static HandshakeException refused(String why) {
    return new HandshakeException(
        "the peer's tcp parameters make no sense: " + why,
        FailureDetail.NONE
            .withTransport(TcpTransportProvider.NAME)
            .withRemedy("Use the same version of the engine on both sides"));
  }
}
