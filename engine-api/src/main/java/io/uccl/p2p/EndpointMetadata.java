package io.uccl.p2p;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.regex.Pattern;

/**
 * Where an engine's control channel listens, and by which GPU: what applications hand to each other
 * before they connect.
 *
 * <pre>
 * offset      size  field
 *      0   4 or 16  IP address, version 4 or 6
 *      4 /16     2  port, big-endian
 *      6 /18     1  n
 *      7 /19     n  PCI bus id of the GPU, such as 0000:4a:00.0; n may be 0
 * </pre>
 *
 * The layout is the C++ engine's. A blob is read as version 4 if its total is 7 + byte 6, else as
 * version 6 if it is 19 + byte 18. Where both fit, version 4 is taken only if what would be the bus
 * id is printable: the C++ parser takes it always, and so misreads some version 6 addresses.
 *
 * @param address numeric IP address; a scope id is not carried
 * @param port of the control channel, 0 to 65535
 * @param busId PCI bus id of the GPU, or empty; printable ASCII, at most 255 characters
 */
public record EndpointMetadata(InetAddress address, int port, String busId) {

  private static final int IPV4_FIXED = 7;
  private static final int IPV6_FIXED = 19;
  private static final Pattern PRINTABLE = Pattern.compile("[\\x20-\\x7e]{0,255}");
  private static final String OCTET = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  private static final Pattern IPV4 = Pattern.compile(OCTET + ("\\." + OCTET).repeat(3));
  private static final Pattern TEXT =
      Pattern.compile("(?:\\[([0-9a-fA-F:.]+)]|([0-9.]+)):(\\d{1,5})(?:\\?(.*))?");

  /**
   * Checks the parts.
   *
   * @throws IllegalArgumentException if port or bus id are out of range
   */
  public EndpointMetadata {
    if (port < 0 || port > 65535) {
      throw new IllegalArgumentException("port must be 0 to 65535, but is " + port);
    }
    if (!PRINTABLE.matcher(busId).matches()) {
      throw new IllegalArgumentException(
          "bus id must be at most 255 printable ASCII characters, but is '" + busId + "'");
    }
    address = withoutNameAndScope(address);
  }

  /**
   * Reads the bytes that another process handed over.
   *
   * @throws IllegalArgumentException if they are not an endpoint's metadata
   */
  public static EndpointMetadata decode(byte[] bytes) {
    boolean four = fits(bytes, IPV4_FIXED);
    boolean six = fits(bytes, IPV6_FIXED);
    if (four && (!six || isPrintable(bytes, IPV4_FIXED))) {
      return decode(bytes, IPV4_FIXED);
    }
    if (six) {
      return decode(bytes, IPV6_FIXED);
    }
    throw new IllegalArgumentException(
        "not an endpoint's metadata: "
            + bytes.length
            + " bytes, where IPv4 has 7 + byte 6 and IPv6 has 19 + byte 18");
  }

  /**
   * Reads the printed form: {@code ip:port?busid} or {@code [ipv6]:port?busid}; the bus id may be
   * left out with its question mark. Names are not resolved.
   *
   * @throws IllegalArgumentException if the text is not of that form
   */
  public static EndpointMetadata parse(String text) {
    var match = TEXT.matcher(text);
    if (!match.matches()) {
      throw new IllegalArgumentException(
          "'" + text + "' is not ip:port or [ipv6]:port, with a numeric address");
    }
    String busId = match.group(4) == null ? "" : match.group(4);
    int port = Integer.parseInt(match.group(3));
    return match.group(1) != null
        ? new EndpointMetadata(parseIpv6(match.group(1)), port, busId)
        : new EndpointMetadata(parseIpv4(match.group(2)), port, busId);
  }

  private static InetAddress parseIpv6(String host) {
    try {
      // In brackets the JDK takes nothing but a literal; without, it would ask for a name.
      byte[] ip = InetAddress.getByName("[" + host + "]").getAddress();
      // The JDK turns an IPv4-mapped address into IPv4, which would print and encode differently.
      return address(ip.length == 16 ? ip : ipv4Mapped(ip));
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException("'" + host + "' is not a numeric IPv6 address", e);
    }
  }

  private static byte[] ipv4Mapped(byte[] ip) {
    byte[] mapped = new byte[16];
    mapped[10] = (byte) 0xff;
    mapped[11] = (byte) 0xff;
    System.arraycopy(ip, 0, mapped, 12, 4);
    return mapped;
  }

  private static InetAddress parseIpv4(String host) {
    var parts = IPV4.matcher(host);
    if (!parts.matches()) {
      throw new IllegalArgumentException("'" + host + "' is not a numeric IPv4 address");
    }
    byte[] ip = new byte[4];
    for (int i = 0; i < ip.length; i++) {
      ip[i] = (byte) Integer.parseInt(parts.group(i + 1));
    }
    return address(ip);
  }

  /** The bytes to hand over. */
  public byte[] encode() {
    byte[] ip = address.getAddress();
    byte[] bus = busId.getBytes(StandardCharsets.US_ASCII);
    return ByteBuffer.allocate(ip.length + 3 + bus.length)
        .put(ip)
        .putShort((short) port)
        .put((byte) bus.length)
        .put(bus)
        .array();
  }

  /** Address and port as a socket address. */
  public InetSocketAddress socketAddress() {
    return new InetSocketAddress(address, port);
  }

  /** {@code ip:port?busid}, an IPv6 address in brackets. */
  @Override
  public String toString() {
    String host = address.getHostAddress();
    String printed = address instanceof Inet6Address ? "[" + host + "]" : host;
    return printed + ":" + port + (busId.isEmpty() ? "" : "?" + busId);
  }

  private static boolean fits(byte[] bytes, int fixed) {
    return bytes.length >= fixed && bytes.length == fixed + Byte.toUnsignedInt(bytes[fixed - 1]);
  }

  private static boolean isPrintable(byte[] bytes, int from) {
    for (int i = from; i < bytes.length; i++) {
      if (bytes[i] < 0x20 || bytes[i] > 0x7e) {
        return false;
      }
    }
    return true;
  }

  private static EndpointMetadata decode(byte[] bytes, int fixed) {
    ByteBuffer source = ByteBuffer.wrap(bytes);
    byte[] ip = new byte[fixed - 3];
    source.get(ip);
    int port = Short.toUnsignedInt(source.getShort());
    String busId = new String(bytes, fixed, bytes.length - fixed, StandardCharsets.US_ASCII);
    return new EndpointMetadata(address(ip), port, busId);
  }

  private static InetAddress address(byte[] ip) {
    try {
      // Not getByAddress of InetAddress: it turns an IPv4-mapped IPv6 address into IPv4.
      return ip.length == 16
          ? Inet6Address.getByAddress(null, ip, -1)
          : Inet4Address.getByAddress(ip);
    } catch (UnknownHostException e) {
      throw new IllegalStateException("4 or 16 bytes are always an address", e);
    }
  }

  private static InetAddress withoutNameAndScope(InetAddress given) {
    return address(given.getAddress());
  }
}
