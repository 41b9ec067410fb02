package io.uccl.p2p.transport.cxi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CxiTransportProviderTest {

  @TempDir Path folder;

  @Test
  void serviceLoaderFindsIt() {
    assertThat(ServiceLoader.load(TransportProvider.class))
        .singleElement()
        .isInstanceOf(CxiTransportProvider.class);
  }

  @Test
  void declaresWhatTheEngineChoosesBy() {
    CxiTransportProvider provider = new CxiTransportProvider();
    assertThat(provider.name()).isEqualTo("cxi");
    assertThat(provider.aliases()).isEmpty();
    assertThat(provider.priority()).isEqualTo(300);
    assertThat(provider.defaultInflightOperations()).isEqualTo(32);
  }

  @Test
  void theMagicIsTheOneOfTheReferenceHandshake() {
    byte[] spelt = "CXIP".getBytes(StandardCharsets.US_ASCII);
    int magic = new CxiTransportProvider().handshakeMagic();
    assertThat(magic).isEqualTo(0x43584950);
    assertThat(magic).isEqualTo(ByteBuffer.wrap(spelt).getInt());
  }

  @Test
  void withoutADeviceLibfabricIsNotEvenAsked() {
    assertThat(new CxiTransportProvider(folder).probe(Map.of()))
        .isEqualTo(
            Availability.unavailable(
                "no Slingshot device in " + folder, "Use tcp: UCCL_P2P_TRANSPORT=tcp"));
    Path missing = folder.resolve("missing");
    assertThat(new CxiTransportProvider(missing).probe(Map.of()).detail())
        .isEqualTo("no Slingshot device: there is no " + missing);
  }

  @ParameterizedTest
  @ValueSource(strings = {"a device", "a named provider", "devices that cannot be read"})
  void aLibraryThatIsNotThereIsNamedWith(String reasonToAsk) throws IOException {
    Needs.natives();
    Path devices = folder;
    Map<String, String> environment =
        new HashMap<>(Map.of("UCCL_LIBFABRIC_SO", "/nowhere/libfabric.so.9"));
    switch (reasonToAsk) {
      case "a device" -> Files.createDirectory(folder.resolve("cxi0"));
      case "a named provider" -> environment.put("UCCL_CXI_PROVIDER", "cxi");
      default -> devices = Files.createFile(folder.resolve("a-file"));
    }
    Availability availability = new CxiTransportProvider(devices).probe(environment);
    assertThat(availability.available()).isFalse();
    assertThat(availability.detail())
        .startsWith("libfabric has nothing of provider cxi: dlopen: /nowhere/libfabric.so.9");
    assertThat(availability.remedy()).contains("UCCL_LIBFABRIC_SO");
  }

  @Test
  void anOldLibfabricWorksAndIsRegretted() {
    Needs.natives();
    Availability availability =
        new CxiTransportProvider()
            .probe(
                Map.of(
                    "UCCL_CXI_PROVIDER", "tcp;ofi_rxm", "UCCL_LIBFABRIC_SO", Needs.oldLibfabric()));
    assertThat(availability.detail()).startsWith("libfabric 1.");
    assertThat(availability.available()).isTrue();
    assertThat(availability.remedy()).contains("install libfabric 2.0 or later");
  }

  @Test
  void openIsRefusedWithTheReasonOfTheProbe() {
    CxiTransportProvider provider = new CxiTransportProvider(folder);
    TransportContext context =
        new TransportContext(Map.of(), InetAddress.getLoopbackAddress(), 32, 0);
    Availability availability = provider.probe(Map.of());
    assertThatThrownBy(() -> provider.open(context))
        .isInstanceOfSatisfying(
            TransportUnavailableException.class,
            e -> {
              assertThat(e.summary()).isEqualTo(availability.detail());
              assertThat(e.detail().remedy()).isEqualTo(availability.remedy());
              assertThat(e.detail().transport()).isEqualTo("cxi");
            });
  }

  @Test
  void declaresEveryVariableThatItReads() {
    assertThat(new CxiTransportProvider().settings())
        .extracting(setting -> (Object) setting.name())
        .containsExactly(
            "UCCL_LIBFABRIC_SO",
            "UCCL_CXI_DOMAIN",
            "UCCL_CXI_DEVICE_INDEX",
            "UCCL_CXI_THREADING",
            "UCCL_CXI_TX_QUEUE_SIZE",
            "UCCL_CXI_RX_QUEUE_SIZE",
            "UCCL_CXI_CQ_SIZE",
            "UCCL_CXI_PROVIDER");
  }

  @Test
  void unsetVariablesHaveTheDefaultsOfTheReference() {
    Map<String, String> nothing = Map.of();
    assertThat(CxiSettings.DEVICE_INDEX.in(nothing)).isEqualTo(OptionalInt.empty());
    assertThat(CxiSettings.THREADING.in(nothing)).isEqualTo("safe");
    assertThat(CxiSettings.TX_QUEUE_SIZE.in(nothing)).isEqualTo(4096);
    assertThat(CxiSettings.RX_QUEUE_SIZE.in(nothing)).isEqualTo(4096);
    assertThat(CxiSettings.CQ_SIZE.in(nothing)).isEqualTo(8192);
    assertThat(CxiSettings.PROVIDER.in(nothing)).isEqualTo("cxi");
    assertThat(CxiSettings.DOMAIN.in(nothing)).isEmpty();
    assertThat(CxiSettings.LIBFABRIC.in(nothing)).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "UCCL_LIBFABRIC_SO, /opt/lib/libfabric.so.1",
    "UCCL_CXI_DOMAIN, cxi3",
    "UCCL_CXI_DEVICE_INDEX, 0",
    "UCCL_CXI_DEVICE_INDEX, 255",
    "UCCL_CXI_THREADING, unspec",
    "UCCL_CXI_THREADING, endpoint",
    "UCCL_CXI_TX_QUEUE_SIZE, 16384",
    "UCCL_CXI_RX_QUEUE_SIZE, 15360",
    "UCCL_CXI_CQ_SIZE, 1048576",
    "UCCL_CXI_PROVIDER, tcp;ofi_rxm",
  })
  void takesWhatIsLegal(String name, String value) {
    assertThat(String.valueOf(setting(name).in(Map.of(name, value))))
        .isIn(value, "OptionalInt[" + value + "]");
  }

  @ParameterizedTest
  @CsvSource({
    "UCCL_CXI_DEVICE_INDEX, -1, a number from 0 to 255",
    "UCCL_CXI_DEVICE_INDEX, 256, a number from 0 to 255",
    "UCCL_CXI_DEVICE_INDEX, cxi0, a number from 0 to 255",
    "UCCL_CXI_THREADING, SAFE, 'one of safe, completion, domain, endpoint, fid, unspec'",
    "UCCL_CXI_TX_QUEUE_SIZE, 0, a number from 1 to 16384",
    "UCCL_CXI_TX_QUEUE_SIZE, 16385, a number from 1 to 16384",
    "UCCL_CXI_RX_QUEUE_SIZE, 15361, a number from 1 to 15360",
    "UCCL_CXI_CQ_SIZE, 8k, a number from 1 to 1048576",
    "UCCL_CXI_PROVIDER, tcp ofi_rxm, 'a libfabric provider (cxi, tcp;ofi_rxm, ...)'",
    "UCCL_CXI_PROVIDER, ;tcp, 'a libfabric provider (cxi, tcp;ofi_rxm, ...)'",
  })
  void refusesWhatIsNot(String name, String value, String expected) {
    assertThatThrownBy(() -> setting(name).in(Map.of(name, value)))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining(
            name + "='" + value + "' cannot be used: " + expected + " is expected");
  }

  private static Setting<?> setting(String name) {
    List<Setting<?>> settings = new CxiTransportProvider().settings();
    return settings.stream().filter(each -> each.name().equals(name)).findFirst().orElseThrow();
  }
}
