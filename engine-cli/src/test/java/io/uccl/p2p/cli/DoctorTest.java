package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class DoctorTest {

  private final TestConsole console = new TestConsole();

  @Test
  void tcpWorksHereAndIsTried() throws Exception {
    console.with("UCCL_P2P_TRANSPORT", "tcp");
    assertThat(console.run("doctor", "--json")).isEqualTo(ExitCode.OK);
    assertThat(console.errLines()).isEmpty();
    JsonNode root = new ObjectMapper().readTree(console.out());
    assertThat(root.get("ok").booleanValue()).isTrue();
    assertThat(root.get("choice").get("name").asText()).isEqualTo("tcp");
    assertThat(root.get("trial").get("available").booleanValue()).isTrue();
    assertThat(root.get("advertised").asText()).startsWith("127.0.0.1:");
    assertThat(texts(root.get("transports"), "name")).contains("tcp", "cxi", "rdma");
    assertThat(texts(root.get("interfaces"), "name")).contains("lo");
    assertThat(texts(root.get("settings"), "name"))
        .contains("UCCL_P2P_TRANSPORT", "UCCL_P2P_LOG_LEVEL", "UCCL_TCP_DATA_PORT")
        .doesNotHaveDuplicates();
    assertThat(root.get("settings").get(0).get("value").asText()).isEqualTo("tcp");
    assertThat(root.get("problems")).isEmpty();
  }

  @Test
  void textSaysTheSame() {
    assertThat(console.run("doctor")).isEqualTo(ExitCode.OK);
    assertThat(console.out())
        .contains("transports", "choice", "native memory", "network", "settings")
        .contains("tried: yes", "control channel at 127.0.0.1:")
        .contains(" * UCCL_SOCKET_IFNAME");
  }

  @Test
  void everyMistakeOfTheEnvironmentIsALineAndTheCodeIsTwo() throws Exception {
    console.with("UCCL_P2P_MAX_INFLIGHT_OPS", "many").with("UCCL_TCP_DATA_PORT", "-1");
    assertThat(console.run("doctor", "--json")).isEqualTo(ExitCode.USAGE);
    assertThat(console.errLines())
        .anyMatch(line -> line.contains("UCCL_P2P_MAX_INFLIGHT_OPS='many'"))
        .anyMatch(line -> line.contains("UCCL_TCP_DATA_PORT='-1'"));
    JsonNode root = new ObjectMapper().readTree(console.out());
    assertThat(root.get("choice").isNull()).isTrue();
    assertThat(root.get("trial").isNull()).isTrue();
    assertThat(root.get("problems")).isNotEmpty();
  }

  @Test
  void aTransportThatCannotWorkIsThree() {
    console.with("UCCL_P2P_TRANSPORT", "cxi").with("UCCL_LIBFABRIC_SO", "/nonexistent/fabric.so");
    assertThat(console.run("doctor")).isEqualTo(ExitCode.TRANSPORT_UNAVAILABLE);
    assertThat(console.errLines()).hasSize(1);
    assertThat(console.errLines().get(0)).contains("cxi");
    assertThat(console.out()).contains("choice").contains("  none");
  }

  @Test
  void aPortInUseIsFoundByTrying() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getByName("127.0.0.1"))) {
      console.with("UCCL_P2P_CONTROL_PORT", Integer.toString(taken.getLocalPort()));
      assertThat(console.run("doctor")).isIn(ExitCode.USAGE, ExitCode.TRANSPORT_UNAVAILABLE);
      assertThat(console.errLines()).hasSize(1);
      assertThat(console.errLines().get(0)).contains(Integer.toString(taken.getLocalPort()));
    }
  }

  @Test
  void variablesOfTheReferenceWithoutMeaningHereAreListed() throws Exception {
    console.with("UCCL_P2P_COMPRESS_DTYPE", "fp8");
    assertThat(console.run("doctor", "--json")).isEqualTo(ExitCode.OK);
    JsonNode root = new ObjectMapper().readTree(console.out());
    assertThat(root.get("ignored_variables").get(0).asText()).isEqualTo("UCCL_P2P_COMPRESS_DTYPE");
  }

  @Test
  void devicesAreNamedByTheirKind(@TempDir Path classes) throws IOException {
    assertThat(Machine.devices(classes)).isEmpty();
    Files.createDirectories(classes.resolve("infiniband/mlx5_1"));
    Files.createDirectories(classes.resolve("infiniband/mlx5_0"));
    Files.createDirectories(classes.resolve("cxi/cxi0"));
    assertThat(Machine.devices(classes))
        .containsExactly("cxi/cxi0", "infiniband/mlx5_0", "infiniband/mlx5_1");
  }

  private static List<String> texts(JsonNode array, String field) {
    List<String> texts = new ArrayList<>();
    array.forEach(node -> texts.add(node.get(field).asText()));
    return texts;
  }
}
