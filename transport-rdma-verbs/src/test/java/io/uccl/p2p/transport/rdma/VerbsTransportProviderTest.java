package io.uccl.p2p.transport.rdma;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VerbsTransportProviderTest {

  @TempDir Path folder;

  @Test
  void serviceLoaderFindsIt() {
    assertThat(ServiceLoader.load(TransportProvider.class))
        .singleElement()
        .isInstanceOf(VerbsTransportProvider.class);
  }

  @Test
  void declaresWhatTheEngineChoosesBy() {
    VerbsTransportProvider provider = new VerbsTransportProvider();
    assertThat(provider.name()).isEqualTo("rdma");
    assertThat(provider.aliases()).containsExactly("ib", "verbs");
    assertThat(provider.priority()).isEqualTo(200);
    assertThat(provider.defaultInflightOperations()).isEqualTo(256);
  }

  @Test
  void theMagicSpellsItsName() {
    byte[] spelt = "RDMA".getBytes(StandardCharsets.US_ASCII);
    assertThat(new VerbsTransportProvider().handshakeMagic())
        .isEqualTo(ByteBuffer.wrap(spelt).getInt());
  }

  private SysfsFolder kernel() {
    return SysfsFolder.of(folder);
  }

  private VerbsTransportProvider provider() {
    return new VerbsTransportProvider(kernel().files());
  }

  @Test
  void saysThatThereIsNoDevice() {
    Path devices = kernel().rdmaDevices();
    assertThat(provider().probe(Map.of()).detail())
        .isEqualTo("no RDMA device: there is no " + devices);
    kernel().withoutDevices();
    assertThat(provider().probe(Map.of()))
        .isEqualTo(
            Availability.unavailable(
                "no RDMA device in " + devices, "Use tcp: UCCL_P2P_TRANSPORT=tcp"));
  }

  @Test
  void withoutADeviceNothingIsLoaded() throws IOException, InterruptedException {
    Process child =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                ProbeMain.class.getName(),
                kernel().withoutDevices().root().toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    String output;
    try (InputStream stream = child.getInputStream()) {
      output = new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    }
    assertThat(child.waitFor()).isZero();
    assertThat(output)
        .contains("no RDMA device in " + kernel().rdmaDevices())
        .contains("libraries of RDMA or of p2p: none");
  }

  @Test
  void saysThatNoPortIsActive() {
    kernel().port("mlx5_1", 1, "1: DOWN", "Ethernet");
    kernel().port("mlx5_0", 1, "2: INIT", "InfiniBand");
    assertThat(provider().probe(Map.of()).detail())
        .isEqualTo("no port of mlx5_0, mlx5_1 is active");
  }

  @Test
  void saysThatANamedDeviceIsNotThere() {
    kernel().port("mlx5_0", 1, "4: ACTIVE", "InfiniBand");
    assertThat(provider().probe(Map.of("UCCL_P2P_RDMA_DEV", "mlx5_0,mlx5_7")).detail())
        .isEqualTo("UCCL_P2P_RDMA_DEV names mlx5_7, but there are mlx5_0");
  }

  @Test
  void probeDoesNotThrowWhenTheDevicesCannotBeRead() throws IOException {
    Path devices = kernel().withoutDevices().rdmaDevices();
    Files.delete(devices);
    Files.createFile(devices);
    assertThat(provider().probe(Map.of()).detail()).contains("RDMA devices unknown");
  }

  @Test
  void openIsRefusedWithTheReasonOfTheProbe() {
    VerbsTransportProvider provider = provider();
    TransportContext context =
        new TransportContext(Map.of(), InetAddress.getLoopbackAddress(), 256, 0);
    Availability availability = provider.probe(Map.of());
    assertThatThrownBy(() -> provider.open(context))
        .isInstanceOfSatisfying(
            TransportUnavailableException.class,
            e -> {
              assertThat(e.summary()).isEqualTo(availability.detail());
              assertThat(e.detail().remedy()).isEqualTo(availability.remedy());
              assertThat(e.detail().transport()).isEqualTo("rdma");
            });
  }

  @Test
  void declaresEveryVariableThatItReads() {
    assertThat(new VerbsTransportProvider().settings())
        .extracting(setting -> (Object) setting.name())
        .containsExactly(
            "UCCL_IBV_SO",
            "UCCL_P2P_RDMA_DEV",
            "UCCL_P2P_RDMA_NICS",
            "UCCL_P2P_RDMA_QPS",
            "CUDA_VISIBLE_DEVICES",
            "UCCL_P2P_RDMA_GID_INDEX",
            "UCCL_P2P_RDMA_SL",
            "UCCL_P2P_RDMA_TC",
            "UCCL_P2P_RDMA_MAX_RD_ATOMIC",
            "UCCL_P2P_RDMA_MAX_DEST_RD_ATOMIC",
            "UCCL_P2P_RDMA_FLUSH");
  }

  @Test
  void unsetVariablesHaveTheDefaultsOfTheReference() {
    Map<String, String> nothing = Map.of();
    assertThat(VerbsSettings.LIBIBVERBS.in(nothing)).isEmpty();
    assertThat(VerbsSettings.DEVICES.in(nothing)).isEmpty();
    assertThat(VerbsSettings.NICS.in(nothing)).isEqualTo(4);
    assertThat(VerbsSettings.QUEUE_PAIRS.in(nothing)).isEqualTo(4);
    assertThat(VerbsSettings.GID_INDEX.in(nothing)).isEqualTo(OptionalInt.empty());
    assertThat(VerbsSettings.SERVICE_LEVEL.in(nothing)).isEmpty();
    assertThat(VerbsSettings.TRAFFIC_CLASS.in(nothing)).isEqualTo(104);
    assertThat(VerbsSettings.MAX_RD_ATOMIC.in(nothing)).isEqualTo(16);
    assertThat(VerbsSettings.MAX_DEST_RD_ATOMIC.in(nothing)).isEqualTo(16);
    assertThat(VerbsSettings.FLUSH.in(nothing)).isEqualTo("off");
  }

  @Test
  void aListOfDevicesLosesSpacesAndEmptyElements() {
    assertThat(VerbsSettings.DEVICES.in(Map.of("UCCL_P2P_RDMA_DEV", "irdma-mkp1, mlx5_0,,mlx5_0")))
        .containsExactly("irdma-mkp1", "mlx5_0", "mlx5_0");
  }

  @ParameterizedTest
  @CsvSource({
    "UCCL_IBV_SO, /opt/lib/libibverbs.so.1",
    "UCCL_P2P_RDMA_NICS, 1",
    "UCCL_P2P_RDMA_NICS, 4",
    "UCCL_P2P_RDMA_QPS, 1",
    "UCCL_P2P_RDMA_QPS, 16",
    "UCCL_P2P_RDMA_GID_INDEX, 0",
    "UCCL_P2P_RDMA_GID_INDEX, 255",
    "UCCL_P2P_RDMA_SL, 0",
    "UCCL_P2P_RDMA_SL, 15",
    "UCCL_P2P_RDMA_TC, 255",
    "UCCL_P2P_RDMA_MAX_RD_ATOMIC, 1",
    "UCCL_P2P_RDMA_MAX_DEST_RD_ATOMIC, 255",
    "UCCL_P2P_RDMA_FLUSH, on",
    "UCCL_P2P_RDMA_FLUSH, off",
  })
  void takesWhatIsLegal(String name, String value) {
    assertThat(String.valueOf(setting(name).in(Map.of(name, value))))
        .isIn(value, "OptionalInt[" + value + "]");
  }

  @ParameterizedTest
  @CsvSource({
    "UCCL_P2P_RDMA_DEV, 'mlx5 0', a comma-separated list of 1 to 4 device names",
    "UCCL_P2P_RDMA_DEV, ',', a comma-separated list of 1 to 4 device names",
    "UCCL_P2P_RDMA_DEV, /dev/infiniband/uverbs0, a comma-separated list of 1 to 4 device names",
    "UCCL_P2P_RDMA_DEV, 'a,b,c,d,d', a comma-separated list of 1 to 4 device names",
    "UCCL_P2P_RDMA_NICS, 0, a number from 1 to 4",
    "UCCL_P2P_RDMA_NICS, 5, a number from 1 to 4",
    "UCCL_P2P_RDMA_QPS, 0, a number from 1 to 16",
    "UCCL_P2P_RDMA_QPS, 17, a number from 1 to 16",
    "UCCL_P2P_RDMA_GID_INDEX, -1, a number from 0 to 255",
    "UCCL_P2P_RDMA_GID_INDEX, 256, a number from 0 to 255",
    "UCCL_P2P_RDMA_SL, 16, a number from 0 to 15",
    "UCCL_P2P_RDMA_TC, 256, a number from 0 to 255",
    "UCCL_P2P_RDMA_MAX_RD_ATOMIC, 0, a number from 1 to 255",
    "UCCL_P2P_RDMA_MAX_DEST_RD_ATOMIC, many, a number from 1 to 255",
    "UCCL_P2P_RDMA_FLUSH, 1, 'one of on, off'",
  })
  void refusesWhatIsNot(String name, String value, String expected) {
    assertThatThrownBy(() -> setting(name).in(Map.of(name, value)))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining(
            name + "='" + value + "' cannot be used: " + expected + " is expected");
  }

  private static Setting<?> setting(String name) {
    List<Setting<?>> settings = new VerbsTransportProvider().settings();
    return settings.stream().filter(each -> each.name().equals(name)).findFirst().orElseThrow();
  }
}
