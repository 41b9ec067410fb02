package io.uccl.p2p.transport.rdma;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/** The IPv4 networks that this machine is in itself, as its routes tell. */
final class ConnectedNetworks {

  private static final Pattern NUMBER = Pattern.compile("[0-9A-F]{8}");
  private static final int DESTINATION = 1;
  private static final int GATEWAY = 2;
  private static final int MASK = 7;

  /** A network without the bits of its hosts. */
  private record Network(int address, int mask) {}

  private final List<Network> networks;

  ConnectedNetworks(KernelFiles kernel) {
    networks =
        KernelFiles.read(kernel.routes())
            .lines()
            .map(line -> line.split("\\s+"))
            .filter(ConnectedNetworks::isConnected)
            .map(fields -> new Network(number(fields[DESTINATION]), number(fields[MASK])))
            .sorted(
                Comparator.comparingInt((Network network) -> Integer.bitCount(network.mask))
                    .reversed())
            .toList();
  }

  /** The smallest one that an address is in, as a name for comparing; empty if in none. */
  Optional<String> of(int address) {
    return networks.stream()
        .filter(network -> (address & network.mask) == network.address)
        .map(Network::toString)
        .findFirst();
  }

  /** The line of a network that is reached without a gateway; the default route is none. */
  private static boolean isConnected(String[] fields) {
    return fields.length > MASK
        && NUMBER.matcher(fields[DESTINATION]).matches()
        && NUMBER.matcher(fields[MASK]).matches()
        && fields[GATEWAY].equals("00000000")
        && !fields[MASK].equals("00000000");
  }

  /** The kernel prints the bytes of an address as one number of the processor. */
  private static int number(String hexadecimal) {
    return ByteBuffer.allocate(Integer.BYTES)
        .order(ByteOrder.nativeOrder())
        .putInt(Integer.parseUnsignedInt(hexadecimal, 16))
        .flip()
        .order(ByteOrder.BIG_ENDIAN)
        .getInt();
  }
}
