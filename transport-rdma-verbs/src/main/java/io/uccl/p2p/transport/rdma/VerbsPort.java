package io.uccl.p2p.transport.rdma;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

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

  /** The first half of an address. */
  private static final int PREFIX_DIGITS = 16;

  private static final Pattern RATE = Pattern.compile("([0-9]{1,6}(?:\\.[0-9]+)?) Gb/sec.*");

  /**
   * What ports must have in common to be used together.
   *
   * @param rate as the kernel writes it: {@code 400 Gb/sec (4X NDR)}
   * @param vendor of the device on its bus; empty of one in software, like the next two
   * @param model of the device
   * @param board that it is on, if its driver says so
   */
  record Kind(boolean ethernet, String rate, String vendor, String model, String board) {}

  /** Whether the link is up and has been set up. */
  boolean isActive() {
    return read("state").endsWith("ACTIVE");
  }

  /**
   * Whether its queue pairs can be connected without a connection manager: iWARP's cannot, and some
   * devices have no reliable ones.
   */
  boolean isConnectable() {
    return KernelFiles.read(deviceFolder().resolve("node_type")).startsWith("1:");
  }

  /** Whether it is RoCE: peers are found by address, not by LID. */
  boolean isEthernet() {
    return read("link_layer").equals("Ethernet");
  }

  Kind kind() {
    Path bus = deviceFolder().resolve("device");
    return new Kind(
        isEthernet(),
        read("rate"),
        KernelFiles.read(bus.resolve("vendor")),
        KernelFiles.read(bus.resolve("device")),
        KernelFiles.read(deviceFolder().resolve("board_id")));
  }

  /** Bits a second, in 10^9; 0 if unknown. */
  double rate() {
    Matcher rate = RATE.matcher(read("rate"));
    return rate.matches() ? Double.parseDouble(rate.group(1)) : 0;
  }

  /** Where its device is plugged in. */
  PciPlace place() {
    return PciPlace.of(deviceFolder().resolve("device"));
  }

  /** Where the kernel tells of the network interface that an address is of; null: of none. */
  @Nullable Path networkInterface(int index) {
    String name = read("gid_attrs/ndevs/" + index);
    return name.isEmpty() ? null : deviceFolder().resolve("../../net").resolve(name).normalize();
  }

  private Path deviceFolder() {
    return folder.resolve("../..").normalize();
  }

  /**
   * Whether it can be reached: on InfiniBand by its LID, unless an index of an address is asked
   * for.
   */
  boolean isReachable(OptionalInt wanted) {
    return wanted.isPresent()
        ? hasAddress(wanted.getAsInt())
        : !isEthernet() || IntStream.range(0, ADDRESSES).anyMatch(this::hasAddress);
  }

  /**
   * The network that it is in, as a name for comparing: on InfiniBand the subnet and the manager of
   * it, on Ethernet that of the address which peers use. Empty if the kernel does not tell; of an
   * address that is valid on any link, none can.
   */
  Optional<String> network(ConnectedNetworks connected, OptionalInt wanted) {
    if (!isEthernet()) {
      String subnet = address(0);
      return subnet.isEmpty()
          ? Optional.empty()
          : Optional.of(subnet.substring(0, PREFIX_DIGITS) + " of " + read("sm_lid"));
    }
    OptionalInt index = wanted.isPresent() ? wanted : preferredAddress();
    String address = index.isPresent() ? address(index.getAsInt()) : "";
    if (address.startsWith(IPV4_MAPPED)) {
      return connected.of(ByteBuffer.wrap(ipv4(address)).getInt());
    }
    return address.isEmpty() || address.startsWith(LINK_LOCAL)
        ? Optional.empty()
        : Optional.of(address.substring(0, PREFIX_DIGITS));
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
    byte[] bytes = ipv4(address);
    return IntStream.range(0, bytes.length)
        .mapToObj(i -> Integer.toString(Byte.toUnsignedInt(bytes[i])))
        .reduce((left, right) -> left + "." + right)
        .orElseThrow();
  }

  private static byte[] ipv4(String address) {
    return HexFormat.of().parseHex(address.substring(IPV4_MAPPED.length()));
  }

  /** Empty if it cannot be read: of an index without an address the kernel says nothing. */
  private String read(String name) {
    return KernelFiles.read(folder.resolve(name));
  }

  @Override
  public String toString() {
    return device + " port " + number;
  }
}
