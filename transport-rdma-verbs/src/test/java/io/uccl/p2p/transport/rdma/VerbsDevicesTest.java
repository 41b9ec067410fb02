package io.uccl.p2p.transport.rdma;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.TransportUnavailableException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VerbsDevicesTest {

  private static final String NONE = "0000:0000:0000:0000:0000:0000:0000:0000";
  private static final String LINK_LOCAL = "fe80:0000:0000:0000:5054:00ff:fe12:3401";
  private static final String GLOBAL = "2001:0db8:0000:0000:0000:0000:0000:0001";
  private static final String IPV4 = "0000:0000:0000:0000:0000:ffff:0a00:0002";

  private static final String CONNECTX = "0x1021";
  private static final String OTHER_MODEL = "0x1019";

  /** 10.0.0.0/16, 10.1.0.0/16 and the default route. */
  private static final String[] ROUTES = {
    "0000000A 00000000 0000FFFF", "0000010A 00000000 0000FFFF", "00000000 0100000A 00000000",
  };

  @TempDir Path folder;
  private SysfsFolder kernel;

  @BeforeEach
  void makeKernel() {
    kernel = SysfsFolder.of(folder);
  }

  private VerbsChoice choose(Map<String, String> environment, int gpuIndex) {
    return new VerbsDevices(kernel.files()).choose(environment, gpuIndex);
  }

  private VerbsChoice choose(Map<String, String> environment) {
    return choose(environment, 0);
  }

  private VerbsChoice chooseNamed(String names) {
    return choose(Map.of("UCCL_P2P_RDMA_DEV", names));
  }

  private static List<String> devices(VerbsChoice choice) {
    return choice.ports().stream().map(VerbsPort::device).toList();
  }

  private static VerbsPort only(VerbsChoice choice) {
    assertThat(choice.ports()).hasSize(1);
    return choice.ports().get(0);
  }

  @Nested
  class Ports {

    @Test
    void theFirstActivePortOfADeviceIsTaken() {
      kernel.port("mlx5_0", 1, "1: DOWN", "Ethernet");
      kernel.port("mlx5_1", 1, "1: DOWN", "Ethernet");
      kernel.port("mlx5_1", 2, "4: ACTIVE", "InfiniBand");
      VerbsPort port = only(choose(Map.of()));
      assertThat(port.toString()).isEqualTo("mlx5_1 port 2");
      assertThat(port.isEthernet()).isFalse();
    }

    @Test
    void aPortWithAnAddressComesBeforeOneWithout() {
      kernel.port("mlx4_0", 1, "4: ACTIVE", "Ethernet");
      kernel.port("mlx4_0", 2, "4: ACTIVE", "Ethernet").address("mlx4_0", 2, 0, IPV4, "RoCE v2");
      assertThat(only(choose(Map.of())).number()).isEqualTo(2);
    }

    @Test
    void aDeviceWithoutAnAddressIsPassedOver() {
      kernel.port("mlx5_0", 1, "4: ACTIVE", "Ethernet");
      kernel.roce("mlx5_1", 10, 0, 0, 2);
      assertThat(devices(choose(Map.of()))).containsExactly("mlx5_1");
    }

    @Test
    void aDeviceWithoutTheAddressThatIsAskedForIsPassedOver() {
      kernel.roce("mlx5_0", 10, 0, 0, 2);
      kernel.roce("mlx5_1", 10, 0, 0, 3).address("mlx5_1", 1, 3, IPV4, "RoCE v2");
      assertThat(devices(choose(Map.of("UCCL_P2P_RDMA_GID_INDEX", "3")))).containsExactly("mlx5_1");
    }

    @Test
    void iwarpIsPassedOver() {
      kernel.roce("irdma0", 10, 0, 0, 2).nodeType("irdma0", SysfsFolder.IWARP);
      kernel.roce("mlx5_0", 10, 0, 0, 3);
      assertThat(devices(choose(Map.of()))).containsExactly("mlx5_0");
    }

    @Test
    void iwarpAloneIsRefusedByName() {
      kernel.roce("irdma0", 10, 0, 0, 2).nodeType("irdma0", SysfsFolder.IWARP);
      assertThatThrownBy(() -> choose(Map.of()))
          .isInstanceOf(TransportUnavailableException.class)
          .hasMessageContaining("irdma0 is neither InfiniBand nor RoCE");
    }

    @Test
    void anIpv4AddressOfRoceV2IsPreferred() {
      kernel.port("rxe0", 1, "4: ACTIVE", "Ethernet");
      kernel.address("rxe0", 1, 0, LINK_LOCAL, "IB/RoCE v1");
      kernel.address("rxe0", 1, 1, LINK_LOCAL, "RoCE v2");
      kernel.address("rxe0", 1, 2, GLOBAL, "RoCE v2");
      kernel.address("rxe0", 1, 3, IPV4, "IB/RoCE v1");
      kernel.address("rxe0", 1, 4, IPV4, "RoCE v2");
      VerbsPort port = only(choose(Map.of()));
      assertThat(port.preferredAddress()).isEqualTo(OptionalInt.of(4));
      assertThat(port.addressText(4)).isEqualTo("10.0.0.2");
    }

    @Test
    void withoutIpv4AGlobalAddressComesBeforeALinkLocalOne() {
      kernel.port("rxe0", 1, "4: ACTIVE", "Ethernet");
      kernel.address("rxe0", 1, 0, LINK_LOCAL, "RoCE v2");
      kernel.address("rxe0", 1, 1, GLOBAL, "RoCE v2");
      VerbsPort port = only(choose(Map.of()));
      assertThat(port.preferredAddress()).isEqualTo(OptionalInt.of(1));
      assertThat(port.addressText(1)).isEqualTo(GLOBAL);
    }

    @Test
    void placesWithoutAnAddressAreLeftOut() {
      kernel.port("rxe0", 1, "4: ACTIVE", "Ethernet");
      kernel.address("rxe0", 1, 0, NONE, "RoCE v2");
      assertThat(only(choose(Map.of())).preferredAddress()).isEmpty();
      kernel.address("rxe0", 1, 7, LINK_LOCAL, "RoCE v2");
      assertThat(only(choose(Map.of())).preferredAddress()).isEqualTo(OptionalInt.of(7));
    }
  }

  @Nested
  class NamedOnes {

    @BeforeEach
    void makeDevices() {
      kernel.infiniband("mlx5_0", "0x1").plug("mlx5_0", "pci0000:00/0000:00:01.0", 0, CONNECTX);
      kernel.infiniband("mlx5_1", "0x1").plug("mlx5_1", "pci0000:80/0000:80:01.0", 1, CONNECTX);
      kernel.roce("mlx5_2", 10, 0, 0, 2).plug("mlx5_2", "pci0000:80/0000:80:02.0", 1, OTHER_MODEL);
      kernel.port("mlx5_3", 1, "1: DOWN", "InfiniBand");
    }

    @Test
    void areTakenInTheirOrderWhateverTheyAre() {
      VerbsChoice choice = chooseNamed("mlx5_2,mlx5_0,mlx5_1");
      assertThat(devices(choice)).containsExactly("mlx5_2", "mlx5_0", "mlx5_1");
      assertThat(choice.reason()).isEqualTo("named by UCCL_P2P_RDMA_DEV");
      assertThat(choice.warning()).isEmpty();
    }

    @Test
    void areTakenTwiceIfNamedTwice() {
      assertThat(devices(chooseNamed("mlx5_1,mlx5_1,mlx5_0")))
          .containsExactly("mlx5_1", "mlx5_1", "mlx5_0");
    }

    @Test
    void areNoMoreThanTheSettingAllowsAndAWarningSaysSo() {
      VerbsChoice choice =
          choose(Map.of("UCCL_P2P_RDMA_DEV", "mlx5_1,mlx5_0,mlx5_2", "UCCL_P2P_RDMA_NICS", "2"));
      assertThat(devices(choice)).containsExactly("mlx5_1", "mlx5_0");
      assertThat(choice.warning())
          .startsWith(
              "UCCL_P2P_RDMA_DEV names 3 devices, but UCCL_P2P_RDMA_NICS takes the first 2");
    }

    @Test
    void goByNameAndNotByNumber() {
      assertThatThrownBy(() -> chooseNamed("mlx5_0,1"))
          .isInstanceOf(TransportUnavailableException.class)
          .hasMessageContaining("UCCL_P2P_RDMA_DEV names 1, but there are mlx5_0")
          .hasMessageContaining("not by number");
    }

    @Test
    void workWithoutThoseWhoseLinkIsDownAndAWarningSaysSo() {
      VerbsChoice choice = chooseNamed("mlx5_3,mlx5_1");
      assertThat(devices(choice)).containsExactly("mlx5_1");
      assertThat(choice.warning())
          .startsWith("UCCL_P2P_RDMA_DEV names also mlx5_3, of which no port is active");
    }

    @Test
    void areRefusedIfTheLinkOfAllIsDown() {
      assertThatThrownBy(() -> chooseNamed("mlx5_3"))
          .isInstanceOf(TransportUnavailableException.class)
          .hasMessageContaining("no port of mlx5_3 is active");
    }

    @Test
    void areRefusedIfOneIsIwarp() {
      kernel.nodeType("mlx5_2", SysfsFolder.IWARP);
      assertThatThrownBy(() -> chooseNamed("mlx5_0,mlx5_2"))
          .isInstanceOf(TransportUnavailableException.class)
          .hasMessageContaining("mlx5_2 is neither InfiniBand nor RoCE");
    }
  }

  /** Two processors; behind each a switch with a GPU and a NIC, and beside it a NIC more. */
  @Nested
  class ByTheGpu {

    private static final String FIRST_SWITCH = "pci0000:00/0000:00:01.0/0000:01:00.0";
    private static final String SECOND_SWITCH = "pci0000:80/0000:80:01.0/0000:81:00.0";

    @BeforeEach
    void makeMachine() {
      kernel.node(0, "0-3").node(1, "4-7").process("0-7", "0-1");
      kernel.gpu(FIRST_SWITCH + "/0000:02:00.0/0000:03:00.0", 0);
      kernel.gpu(SECOND_SWITCH + "/0000:82:00.0/0000:83:00.0", 1);
      infiniband("mlx5_0", "pci0000:40/0000:40:01.0/0000:41:00.0", 0);
      infiniband("mlx5_1", SECOND_SWITCH + "/0000:82:01.0/0000:84:00.0", 1);
      infiniband("mlx5_2", "pci0000:80/0000:80:02.0/0000:90:00.0", 1);
      infiniband("mlx5_3", FIRST_SWITCH + "/0000:02:01.0/0000:04:00.0", 0);
    }

    private void infiniband(String device, String path, int numaNode) {
      kernel.infiniband(device, "0x1").plug(device, path, numaNode, CONNECTX);
    }

    @Test
    void theOneBehindTheSameSwitchIsNearest() {
      assertThat(devices(choose(Map.of(), 0))).containsExactly("mlx5_3");
      assertThat(devices(choose(Map.of(), 1))).containsExactly("mlx5_1");
      assertThat(choose(Map.of(), 1).reason()).isEqualTo("nearest to GPU 1");
    }

    @Test
    void withoutThatTheOneBelowTheSameHostBridgeIs() {
      kernel.port("mlx5_1", 1, "1: DOWN", "InfiniBand");
      assertThat(devices(choose(Map.of(), 1))).containsExactly("mlx5_2");
    }

    @Test
    void withoutThatTheOneOnTheSameNumaNodeIs() {
      kernel.port("mlx5_3", 1, "1: DOWN", "InfiniBand");
      assertThat(devices(choose(Map.of(), 0))).containsExactly("mlx5_0");
    }

    @Test
    void fewerBridgesBetweenAreNearer() {
      infiniband("mlx5_4", FIRST_SWITCH + "/0000:02:00.0/0000:03:00.1", 0);
      assertThat(devices(choose(Map.of(), 0))).containsExactly("mlx5_4");
    }

    @Test
    void equallyNearOnesAreTakenTogether() {
      infiniband("mlx5_4", FIRST_SWITCH + "/0000:02:02.0/0000:05:00.0", 0);
      assertThat(devices(choose(Map.of(), 0))).containsExactly("mlx5_3", "mlx5_4");
      assertThat(devices(choose(Map.of("UCCL_P2P_RDMA_NICS", "1"), 0))).containsExactly("mlx5_3");
    }

    @Test
    void cudasOwnVariableSaysWhichGpuIsMeant() {
      assertThat(devices(choose(Map.of("CUDA_VISIBLE_DEVICES", "1"), 0))).containsExactly("mlx5_1");
      assertThat(devices(choose(Map.of("CUDA_VISIBLE_DEVICES", "1, 0"), 1)))
          .containsExactly("mlx5_3");
    }

    @Test
    void aGpuMayBeNamedByItsUuid() {
      kernel.driverHas("0000:03:00.0", "GPU-1f002975-a08f-111a-b566-2533a19a9ce3");
      kernel.driverHas("0000:83:00.0", "GPU-9bd1a1fe-0c9c-4d0b-9a6e-35ab5d34c1ba");
      assertThat(devices(choose(Map.of("CUDA_VISIBLE_DEVICES", "GPU-9bd1"), 0)))
          .containsExactly("mlx5_1");
    }

    @Test
    void onlyGpusThatTheDriverHasAreCounted() {
      kernel.driverHas("0000:83:00.0", "GPU-9bd1a1fe-0c9c-4d0b-9a6e-35ab5d34c1ba");
      assertThat(devices(choose(Map.of(), 0))).containsExactly("mlx5_1");
    }

    @Test
    void aGpuThatIsNotThereIsNoReason() {
      for (VerbsChoice choice :
          List.of(
              choose(Map.of(), 2),
              choose(Map.of("CUDA_VISIBLE_DEVICES", ""), 0),
              choose(Map.of("CUDA_VISIBLE_DEVICES", "-1"), 0),
              choose(Map.of("CUDA_VISIBLE_DEVICES", "MIG-7c7c"), 0))) {
        assertThat(choice.reason()).isEqualTo("all are equally near");
      }
    }

    @Test
    void otherDevicesOfTheVendorAreNoGpus() {
      kernel.gpu("pci0000:00/0000:00:00.0", 0);
      kernel.deviceClass("pci0000:00/0000:00:00.0", "0x068000");
      assertThat(devices(choose(Map.of(), 0))).containsExactly("mlx5_3");
    }
  }

  @Nested
  class ByTheProcess {

    @BeforeEach
    void makeMachine() {
      kernel.node(0, "0-1,4").node(1, "2-3,5").node(2, "").process("0-5", "0-2");
      kernel.infiniband("mlx5_0", "0x1").plug("mlx5_0", "pci0000:00/0000:00:01.0", 0, CONNECTX);
      kernel.infiniband("mlx5_1", "0x1").plug("mlx5_1", "pci0000:80/0000:80:01.0", 1, CONNECTX);
    }

    @Test
    void theOneOnItsNumaNodeIsNearest() {
      kernel.process("3,5", "0-2");
      VerbsChoice choice = choose(Map.of());
      assertThat(devices(choice)).containsExactly("mlx5_1");
      assertThat(choice.reason()).isEqualTo("on NUMA node 1");
    }

    @Test
    void theNodesOfItsMemoryCountToo() {
      kernel.process("0-5", "1");
      assertThat(devices(choose(Map.of()))).containsExactly("mlx5_1");
    }

    @Test
    void withoutALimitAllAreEquallyNear() {
      VerbsChoice choice = choose(Map.of());
      assertThat(devices(choice)).containsExactly("mlx5_0", "mlx5_1");
      assertThat(choice.reason()).isEqualTo("all are equally near");
    }

    @Test
    void aKernelWithoutNodesHasNoLimit() {
      kernel = SysfsFolder.of(folder.resolve("other")).process("0", "0");
      kernel.infiniband("mlx5_0", "0x1").plug("mlx5_0", "pci0000:00/0000:00:01.0", -1, CONNECTX);
      kernel.infiniband("mlx5_1", "0x1").plug("mlx5_1", "pci0000:00/0000:00:02.0", -1, CONNECTX);
      assertThat(devices(choose(Map.of()))).containsExactly("mlx5_0", "mlx5_1");
    }
  }

  @Nested
  class SeveralTogether {

    private void roce(String device, String model, int... ipv4) {
      kernel.roce(device, ipv4);
      String bus = "0000:00:0" + device.substring(device.length() - 1) + ".0";
      kernel.plug(device, "pci0000:00/" + bus, -1, model);
    }

    @BeforeEach
    void makeRoutes() {
      kernel.routes(ROUTES);
    }

    @Test
    void areOfOneNetwork() {
      roce("mlx5_0", CONNECTX, 10, 0, 0, 2);
      roce("mlx5_1", CONNECTX, 10, 0, 77, 3);
      roce("mlx5_2", CONNECTX, 10, 1, 0, 2);
      VerbsChoice choice = choose(Map.of());
      assertThat(devices(choice)).containsExactly("mlx5_0", "mlx5_1");
      assertThat(choice.reason())
          .isEqualTo(
              "2 of 3 that are equally near; not mlx5_2, which is not known to be in the same"
                  + " network");
    }

    @Test
    void areOfOneKind() {
      roce("mlx5_0", CONNECTX, 10, 0, 0, 2);
      roce("mlx5_1", OTHER_MODEL, 10, 0, 0, 3);
      VerbsChoice choice = choose(Map.of());
      assertThat(devices(choice)).containsExactly("mlx5_0");
      assertThat(choice.reason())
          .isEqualTo("1 of 2 that are equally near; not mlx5_1, which is of another kind");
    }

    @Test
    void areOfOneRateTheFastest() {
      roce("mlx5_0", CONNECTX, 10, 0, 0, 2);
      roce("mlx5_1", CONNECTX, 10, 0, 0, 3);
      roce("mlx5_2", CONNECTX, 10, 0, 0, 4);
      kernel.rate("mlx5_1", 1, "400 Gb/sec (4X NDR)").rate("mlx5_2", 1, "400 Gb/sec (4X NDR)");
      assertThat(devices(choose(Map.of()))).containsExactly("mlx5_1", "mlx5_2");
    }

    @Test
    void areNotTakenWhereTheNetworkIsUnknown() {
      kernel.routes("00000000 0100000A 00000000");
      roce("mlx5_0", CONNECTX, 10, 0, 0, 2);
      roce("mlx5_1", CONNECTX, 10, 0, 0, 3);
      assertThat(devices(choose(Map.of()))).containsExactly("mlx5_0");
    }

    @Test
    void areOfOneSubnetManagerOnInfiniband() {
      for (String device : List.of("mlx5_0", "mlx5_1", "mlx5_2")) {
        kernel.infiniband(device, device.equals("mlx5_1") ? "0x7" : "0x1");
        kernel.plug(device, "pci0000:00/0000:00:0" + device.charAt(5) + ".0", -1, CONNECTX);
      }
      assertThat(devices(choose(Map.of()))).containsExactly("mlx5_0", "mlx5_2");
    }

    @Test
    void areFourAtMostAndEachGpuBeginsAtAnother() {
      for (int i = 0; i < 8; i++) {
        kernel.gpu("pci0000:00/0000:00:1" + i + ".0", -1);
        roce("mlx5_" + i, CONNECTX, 10, 0, 0, 10 + i);
      }
      assertThat(devices(choose(Map.of(), 0)))
          .containsExactly("mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3");
      assertThat(devices(choose(Map.of(), 6)))
          .containsExactly("mlx5_6", "mlx5_7", "mlx5_0", "mlx5_1");
      assertThat(choose(Map.of(), 6).reason()).isEqualTo("4 of 8 that are equally near");
    }

    @Test
    void areNotSoftwareWhereThereIsHardware() {
      kernel.roce("eth_rxe", 10, 0, 0, 2);
      roce("mlx5_0", CONNECTX, 10, 0, 0, 3);
      VerbsChoice choice = choose(Map.of());
      assertThat(devices(choice)).containsExactly("mlx5_0");
      assertThat(choice.reason()).isEqualTo("the only one in hardware");
    }

    @Test
    void oneAloneIsTheOnlyOne() {
      kernel.roce("rxe0", 10, 0, 0, 2);
      assertThat(choose(Map.of()).reason()).isEqualTo("the only one");
      kernel.port("rxe1", 1, "1: DOWN", "Ethernet");
      assertThat(choose(Map.of()).reason()).isEqualTo("the only one that is ready");
    }
  }
}
