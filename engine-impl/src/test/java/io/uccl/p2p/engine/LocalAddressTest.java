package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.ConfigurationException;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.ServerSocket;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LocalAddressTest {

  private static final LocalAddress.Interface LO =
      loopback("lo", 1, "127.0.0.1", "0:0:0:0:0:0:0:1");
  private static final LocalAddress.Interface ETH0 = up("eth0", 2, "fe80::1", "10.0.0.2");
  private static final LocalAddress.Interface ETH1 = up("eth1", 3, "10.0.1.2");
  private static final LocalAddress.Interface ETH10 = up("eth10", 4, "10.0.10.2");
  private static final LocalAddress.Interface IB0 = up("ib0", 5, "10.1.0.2");
  private static final LocalAddress.Interface DOCKER0 = up("docker0", 6, "172.17.0.1");
  private static final LocalAddress.Interface DOWN = down("eth7", 7, "10.0.7.2");
  private static final LocalAddress.Interface BARE = up("eth8", 8, "fe80::8");
  private static final List<LocalAddress.Interface> MACHINE =
      List.of(DOCKER0, IB0, ETH10, ETH1, ETH0, LO, DOWN, BARE);

  @Test
  void unsetTheFirstByIndexThatIsUpAndNotLoopbackIsTaken() {
    LocalAddress chosen = LocalAddress.choose(Map.of(), MACHINE);
    assertThat(chosen)
        .isEqualTo(
            new LocalAddress(
                address("10.0.0.2"),
                "eth0",
                false,
                "the first interface that is up, is not loopback and has an IPv4 address"));
  }

  @Test
  void unsetAnInterfaceThatIsDownIsPassedOver() {
    assertThat(choose("", down("eth0", 2, "10.0.0.2"), ETH1).interfaceName()).isEqualTo("eth1");
  }

  @Test
  void unsetIpv4IsPreferredAcrossInterfaces() {
    assertThat(choose("", up("eth0", 2, "2001:db8::2"), ETH1).interfaceName()).isEqualTo("eth1");
  }

  @Test
  void unsetAGlobalIpv6AddressIsTakenWhenThereIsNoIpv4AndALinkLocalOneNever() {
    LocalAddress chosen = choose("", LO, up("eth0", 2, "fe80::2"), up("eth1", 3, "2001:db8::3"));
    assertThat(chosen.address()).isEqualTo(address("2001:db8::3"));
    assertThat(chosen.interfaceName()).isEqualTo("eth1");
    assertThat(chosen.loopback()).isFalse();
    assertThat(chosen.reason()).endsWith("none has IPv4");
  }

  @Test
  void unsetLoopbackIsTakenWhenNothingElseIsUpAndTheResultSaysSo() {
    for (List<LocalAddress.Interface> machine :
        List.of(List.of(LO, DOWN, BARE), List.<LocalAddress.Interface>of())) {
      assertThat(LocalAddress.choose(Map.of(), machine))
          .isEqualTo(
              new LocalAddress(
                  address("127.0.0.1"),
                  "lo",
                  true,
                  "no interface but loopback is up and has an address: only this machine can reach"
                      + " it"));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        // whole names
        "eth0 | eth0",
        "eth10 | eth10",
        "lo | lo",
        // a whole name beats a lower index
        "eth,ib0 | ib0",
        "et,eth10 | eth10",
        // beginnings, by index
        "eth | eth0",
        "ib | ib0",
        "ib,eth | eth0",
        " docker , ib | ib0",
        // whole names only
        "=eth1 | eth1",
        "=ib0,docker0 | ib0",
        // exclusions, loopback last
        "^eth,lo | ib0",
        "^docker | eth0",
        "^eth,ib,docker | lo",
        "^=eth0,lo | eth1",
        // a port means nothing
        "eth1:4711 | eth1",
        // what cannot be used is passed over
        "eth7,ib0 | ib0",
        "eth8,eth7,eth1 | eth1",
      })
  void setTheSyntaxIsThatOfTheReference(String text, String name) {
    LocalAddress chosen = LocalAddress.choose(Map.of("UCCL_SOCKET_IFNAME", text), MACHINE);
    assertThat(chosen.interfaceName()).isEqualTo(name);
    assertThat(chosen.reason()).isEqualTo("UCCL_SOCKET_IFNAME=" + text.trim());
  }

  @Test
  void aNamedLoopbackInterfaceIsTakenAndSaysSo() {
    LocalAddress chosen = choose("lo", LO, ETH0);
    assertThat(chosen.address()).isEqualTo(address("127.0.0.1"));
    assertThat(chosen.loopback()).isTrue();
  }

  @Test
  void aNamedInterfaceGivesItsIpv4AddressElseItsGlobalIpv6Address() {
    assertThat(choose("eth0", up("eth0", 2, "2001:db8::2", "10.0.0.2")).address())
        .isEqualTo(address("10.0.0.2"));
    assertThat(choose("eth0", up("eth0", 2, "fe80::2", "2001:db8::2"), ETH1).address())
        .isEqualTo(address("2001:db8::2"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "wlan0 | matches no interface of this machine",
        "=eth | matches no interface of this machine",
        "^eth,lo,ib,docker | matches no interface of this machine",
        "eth7 | cannot be used: eth7 is down",
        "eth8,eth7 | cannot be used: eth7 is down, eth8 has no usable address",
      })
  void setWithoutAMatchIsAnErrorThatListsWhatIsUp(String text, String why) {
    assertThatThrownBy(() -> LocalAddress.choose(Map.of("UCCL_SOCKET_IFNAME", text), MACHINE))
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            "UCCL_SOCKET_IFNAME='"
                + text
                + "' "
                + why
                + ". Name one of these, or unset it: lo (127.0.0.1), eth0 (10.0.0.2), eth1"
                + " (10.0.1.2), eth10 (10.0.10.2), ib0 (10.1.0.2), docker0 (172.17.0.1)");
  }

  @ParameterizedTest
  @ValueSource(strings = {"^", "=", "^=", ",", ":4711", "^,:1"})
  void aListWithoutANameIsAnError(String text) {
    assertThatThrownBy(() -> choose(text, ETH0))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining("UCCL_SOCKET_IFNAME='" + text + "' names no interface");
  }

  @Test
  void anIpv6AddressLosesItsScope() throws UnknownHostException {
    InetAddress scoped = Inet6Address.getByAddress("", address("2001:db8::3").getAddress(), 3);
    assertThat(scoped.getHostAddress()).contains("%");
    LocalAddress chosen =
        choose("", new LocalAddress.Interface("eth0", 3, true, false, List.of(scoped)));
    assertThat(chosen.address().getHostAddress()).isEqualTo("2001:db8:0:0:0:0:0:3");
  }

  @Test
  void onThisMachineTheAddressIsOneThatCanBeBoundTo() throws IOException {
    LocalAddress chosen = LocalAddress.choose(Map.of());
    try (ServerSocket socket = new ServerSocket(0, 1, chosen.address())) {
      assertThat(socket.getInetAddress()).isEqualTo(chosen.address());
    }
    assertThat(NetworkInterface.getByInetAddress(chosen.address()).getName())
        .isEqualTo(chosen.interfaceName());
  }

  private static LocalAddress choose(String text, LocalAddress.Interface... machine) {
    return LocalAddress.choose(Map.of("UCCL_SOCKET_IFNAME", text), Arrays.asList(machine));
  }

  private static LocalAddress.Interface up(String name, int index, String... addresses) {
    return new LocalAddress.Interface(name, index, true, false, addresses(addresses));
  }

  private static LocalAddress.Interface down(String name, int index, String... addresses) {
    return new LocalAddress.Interface(name, index, false, false, addresses(addresses));
  }

  private static LocalAddress.Interface loopback(String name, int index, String... addresses) {
    return new LocalAddress.Interface(name, index, true, true, addresses(addresses));
  }

  private static List<InetAddress> addresses(String... texts) {
    return Arrays.stream(texts).map(LocalAddressTest::address).toList();
  }

  private static InetAddress address(String text) {
    try {
      return InetAddress.getByName(text);
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException(text, e);
    }
  }
}
