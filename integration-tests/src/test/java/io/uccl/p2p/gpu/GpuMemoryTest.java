package io.uccl.p2p.gpu;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.conformance.NeedsLibfabric;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Memory of a GPU by its address, on the simulated cxi provider and a stand-in for CUDA's driver:
 * this shows what the driver is asked, and what libfabric is told. A real GPU is in the checklist.
 */
@ExtendWith(NeedsLibfabric.class)
class GpuMemoryTest {

  private static final Path STAND_IN =
      Path.of("../engine-api/target/native/simulated-cuda/libcuda.so.1").toAbsolutePath();

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"0", "1"})
  void aPeerWritesAndReadsIt(String byDmabuf) throws Exception {
    Map<String, String> provider =
        Map.of("FI_CXI_SIM_GPU", "1", "FI_CXI_SIM_GPU_BY_DMABUF", byDmabuf);
    assertThat(probe("simulated-gpu-1", cxi(provider)))
        .isEqualTo(
            """
            kind: CUDA, host: HOST
            slice: memory of a GPU cannot be read or written from Java; copy it with CUDA
            written: true
            read: true
            sent: true
            """);
  }

  @Test
  void aProviderThatTakesNoneSaysSo() throws Exception {
    assertThat(probe("simulated-gpu-1", cxi(Map.of())))
        .startsWith("refused: libfabric registers no memory of ")
        .contains(" bytes of GPU 1; Use a libfabric that was built with CUDA");
  }

  @Test
  void managedMemoryIsRefused() throws Exception {
    assertThat(probe("simulated-managed-0", cxi(Map.of("FI_CXI_SIM_GPU", "1"))))
        .startsWith("refused: ")
        .contains("managed memory of CUDA, which moves between host and GPU; Take memory of");
  }

  @Test
  void tcpRefusesIt() throws Exception {
    assertThat(probe("simulated-gpu-0", Map.of("UCCL_P2P_TRANSPORT", "tcp")))
        .startsWith("refused: the transport tcp takes no memory of kind CUDA; Copy it to");
  }

  private static Map<String, String> cxi(Map<String, String> more) {
    Map<String, String> environment = new HashMap<>(more);
    environment.put("UCCL_P2P_TRANSPORT", "cxi");
    environment.put("UCCL_CXI_PROVIDER", "cxi");
    environment.put("UCCL_LIBFABRIC_SO", NeedsLibfabric.LIBRARY);
    return environment;
  }

  private String probe(String memory, Map<String, String> environment) throws Exception {
    ProcessBuilder builder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                GpuProbe.class.getName(),
                STAND_IN.toString(),
                folder.resolve(memory).toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().put("UCCL_SOCKET_IFNAME", "lo");
    builder.environment().putAll(environment);
    Process process = builder.start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).as("ended").isTrue();
    assertThat(process.exitValue()).as(printed).isZero();
    return printed;
  }
}
