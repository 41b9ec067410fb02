package io.uccl.p2p.transport.rdma;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VerbsDevicesTest {

  private static final String NONE = "0000:0000:0000:0000:0000:0000:0000:0000";
  private static final String LINK_LOCAL = "fe80:0000:0000:0000:5054:00ff:fe12:3401";
  private static final String GLOBAL = "2001:0db8:0000:0000:0000:0000:0000:0001";
  private static final String IPV4 = "0000:0000:0000:0000:0000:ffff:0a00:0002";

  @TempDir Path folder;
  private SysfsFolder kernel;

  @BeforeEach
  void makeKernel() {
    kernel = SysfsFolder.of(folder);
  }

  private VerbsPort choose(Map<String, String> environment) {
    return new VerbsDevices(folder).choose(environment);
  }

  @Test
  void theFirstActivePortIsTaken() {
    kernel.port("mlx5_0", 1, "1: DOWN", "Ethernet");
    kernel.port("mlx5_1", 1, "1: DOWN", "Ethernet");
    kernel.port("mlx5_1", 2, "4: ACTIVE", "InfiniBand");
    kernel.port("mlx5_2", 1, "4: ACTIVE", "Ethernet");
    VerbsPort port = choose(Map.of());
    assertThat(port.toString()).isEqualTo("mlx5_1 port 2");
    assertThat(port.isEthernet()).isFalse();
  }

  @Test
  void namedDevicesAreTriedInTheirOrder() {
    kernel.port("mlx5_0", 1, "4: ACTIVE", "Ethernet");
    kernel.port("mlx5_1", 1, "4: ACTIVE", "Ethernet");
    kernel.port("mlx5_2", 1, "1: DOWN", "Ethernet");
    assertThat(choose(Map.of("UCCL_P2P_RDMA_DEV", "mlx5_2,mlx5_1,mlx5_0")).device())
        .isEqualTo("mlx5_1");
  }

  @Test
  void anIpv4AddressOfRoceV2IsPreferred() {
    kernel.port("rxe0", 1, "4: ACTIVE", "Ethernet");
    kernel.address("rxe0", 1, 0, LINK_LOCAL, "IB/RoCE v1");
    kernel.address("rxe0", 1, 1, LINK_LOCAL, "RoCE v2");
    kernel.address("rxe0", 1, 2, GLOBAL, "RoCE v2");
    kernel.address("rxe0", 1, 3, IPV4, "IB/RoCE v1");
    kernel.address("rxe0", 1, 4, IPV4, "RoCE v2");
    VerbsPort port = choose(Map.of());
    assertThat(port.preferredAddress()).isEqualTo(OptionalInt.of(4));
    assertThat(port.addressText(4)).isEqualTo("10.0.0.2");
  }

  @Test
  void withoutIpv4AGlobalAddressComesBeforeALinkLocalOne() {
    kernel.port("rxe0", 1, "4: ACTIVE", "Ethernet");
    kernel.address("rxe0", 1, 0, LINK_LOCAL, "RoCE v2");
    kernel.address("rxe0", 1, 1, GLOBAL, "RoCE v2");
    VerbsPort port = choose(Map.of());
    assertThat(port.preferredAddress()).isEqualTo(OptionalInt.of(1));
    assertThat(port.addressText(1)).isEqualTo(GLOBAL);
  }

  @Test
  void placesWithoutAnAddressAreLeftOut() {
    kernel.port("rxe0", 1, "4: ACTIVE", "Ethernet");
    kernel.address("rxe0", 1, 0, NONE, "RoCE v2");
    assertThat(choose(Map.of()).preferredAddress()).isEmpty();
    kernel.address("rxe0", 1, 7, LINK_LOCAL, "RoCE v2");
    assertThat(choose(Map.of()).preferredAddress()).isEqualTo(OptionalInt.of(7));
  }
}
