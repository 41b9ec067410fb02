package io.uccl.p2p.cli;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The value of {@code --peer}.
 *
 * @param host a name or a numeric address, without brackets
 * @param port 1 to 65535
 */
record HostPort(String host, int port) {

  private static final Pattern FORM = Pattern.compile("(?:\\[([^\\]]+)]|([^:\\[\\]]+)):(\\d{1,5})");

  /**
   * Reads {@code host:port} or {@code [ipv6]:port}.
   *
   * @throws ToolException if it is neither
   */
  static HostPort parse(String text) {
    Matcher match = FORM.matcher(text);
    if (match.matches()) {
      int port = Integer.parseInt(match.group(3));
      if (port >= 1 && port <= 65535) {
        return new HostPort(match.group(1) != null ? match.group(1) : match.group(2), port);
      }
    }
    throw ToolException.usage(
        "--peer " + text + ": give HOST:PORT, with a port from 1 to 65535, IPv6 in brackets");
  }

  /**
   * The address of the host.
   *
   * @throws ToolException if the name is not known
   */
  InetAddress resolve() {
    try {
      return InetAddress.getByName(host);
    } catch (UnknownHostException e) {
      throw new ToolException(
          ExitCode.PEER_UNREACHABLE,
          "--peer " + host + ":" + port + ": the name is not known; give a numeric address",
          e);
    }
  }
}
