package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Memory of a GPU by its address, on the simulated cxi provider and a stand-in for CUDA's driver:
 * this shows what the driver is asked, and what libfabric is told. A real GPU is in the checklist.
 */
@ExtendWith(NeedsLibfabric.class)
class GpuMemoryTest {

  private static final Path STAND_IN =
      Path.of("../engine-api/target/native/simulated-cuda/libcuda.so.1").toAbsolutePath();

  private static final Map<String, String> WITH_GPU = Map.of("FI_CXI_SIM_GPU", "1");

  @TempDir Path folder;

  @ParameterizedTest
  @CsvSource({"0, GPU_REGISTRATIONS", "1, DMABUF_REGISTRATIONS"})
  void aPeerWritesAndReadsIt(String byDmabuf, String count) throws Exception {
    assertThat(
            probe(
                "simulated-gpu-1",
                Map.of("FI_CXI_SIM_GPU", "1", "FI_CXI_SIM_GPU_BY_DMABUF", byDmabuf)))
        .containsEntry("kind", "CUDA")
        .containsEntry("kind of the host's", "HOST")
        .containsEntry(
            "slice", "memory of a GPU cannot be read or written from Java; copy it with CUDA")
        .containsEntry("written", "true")
        .containsEntry("read", "true")
        .containsEntry("sent", "true");
    assertThat(new SimulatedCxi(counts()).count(count)).isEqualTo(1);
  }

  @Test
  void aProviderThatTakesNoneSaysSo() throws Exception {
    assertThat(probe("simulated-gpu-1", Map.of()).get("refused"))
        .startsWith("libfabric registers no memory of ")
        .contains(" bytes of GPU 1; Use a libfabric that was built with CUDA");
  }

  @Test
  void managedMemoryIsRefused() throws Exception {
    assertThat(probe("simulated-managed-0", WITH_GPU).get("refused"))
        .contains("managed memory of CUDA, which moves between host and GPU; Take memory of");
  }

  @Test
  void tcpRefusesIt() throws Exception {
    assertThat(probe("simulated-gpu-0", Map.of("UCCL_P2P_TRANSPORT", "tcp")).get("refused"))
        .startsWith("the transport tcp takes no memory of kind CUDA; Copy it to");
  }

  private Path counts() {
    return folder.resolve("counts");
  }

  private Map<String, String> probe(String memory, Map<String, String> environment)
      throws IOException, InterruptedException {
    return CxiChild.run(
        GpuProbe.class,
        counts(),
        environment,
        List.of("--enable-native-access=ALL-UNNAMED"),
        STAND_IN.toString(),
        folder.resolve(memory).toString());
  }
}
