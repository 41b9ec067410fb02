package io.uccl.p2p.transport.rdma;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.OptionalInt;
import java.util.stream.IntStream;

/**
 * A port of an RDMA device, as the kernel tells of it: {@code DEVICE/ports/NUMBER} in {@code
 * /sys/class/infiniband}, without any library.
 *
 * @param device name of the device
 * @param number from 1 on
 * @param folder where the kernel tells of it
 */
record VerbsPort(String device, int number, Path folder) {

  private static final int ADDRESSES = 256;

  private static final String NO_ADDRESS = "00000000000000000000000000000000";
  private static final String IPV4_MAPPED = "00000000000000000000ffff";
  private static final String LINK_LOCAL = "fe80";

  /** Whether the link is up and has been set up. */
  boolean isActive() {
    return read("state").endsWith("ACTIVE");
  }

  /** Whether it is RoCE: peers are found by address, not by LID. */
  boolean isEthernet() {
    return read("link_layer").equals("Ethernet");
  }

  /**
   * Index of the address that peers shall use: RoCE v2, which routers carry, before v1, and among
   * its addresses an IPv4 one before others, and a link-local one last. Empty if there is none.
   */
  OptionalInt preferredAddress() {
    int best = -1;
    int rank = Integer.MAX_VALUE;
    for (int index : IntStream.range(0, ADDRESSES).filter(this::hasAddress).toArray()) {
      int other = rank(index);
      if (other < rank) {
        rank = other;
        best = index;
      }
    }
    return best < 0 ? OptionalInt.empty() : OptionalInt.of(best);
  }

  boolean hasAddress(int index) {
    String address = address(index);
    return !address.isEmpty() && !address.equals(NO_ADDRESS);
  }

  /** Whether an address is RoCE v2's, which routers carry. */
  boolean isRoutable(int index) {
    return read("gid_attrs/types/" + index).equals("RoCE v2");
  }

  private int rank(int index) {
    String address = address(index);
    int kind = address.startsWith(IPV4_MAPPED) ? 0 : address.startsWith(LINK_LOCAL) ? 2 : 1;
    return kind + (isRoutable(index) ? 0 : 3);
  }

  /** In 32 hexadecimal digits; empty if there is no such index. */
  private String address(int index) {
    return read("gids/" + index).replace(":", "");
  }

  /** An address as people read it: IPv4 if it is one. */
  String addressText(int index) {
    String address = address(index);
    if (!address.startsWith(IPV4_MAPPED)) {
      return read("gids/" + index);
    }
    byte[] bytes = HexFormat.of().parseHex(address.substring(IPV4_MAPPED.length()));
    return IntStream.range(0, bytes.length)
        .mapToObj(i -> Integer.toString(Byte.toUnsignedInt(bytes[i])))
        .reduce((left, right) -> left + "." + right)
        .orElseThrow();
  }

  /** Empty if it cannot be read: of an index without an address the kernel says nothing. */
  private String read(String name) {
    try {
      return Files.readString(folder.resolve(name)).strip();
    } catch (IOException e) {
      return "";
    }
  }

  @Override
  public String toString() {
    return device + " port " + number;
  }
}
