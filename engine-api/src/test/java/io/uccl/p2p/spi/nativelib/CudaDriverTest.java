package io.uccl.p2p.spi.nativelib;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Runs the C driver of what the shim knows of GPU memory: without CUDA's driver, with a stand-in
 * for it, and with the real one where there is one.
 */
class CudaDriverTest {

  @ParameterizedTest
  @CsvSource({
    "p2p_cuda_driver, ''",
    "p2p_cuda_driver, simulated-cuda/libcuda.so.1",
    "p2p_cuda_driver_sanitized, ''",
    "p2p_cuda_driver_sanitized, simulated-cuda/libcuda.so.1",
  })
  void theCoreHolds(String name, String library) throws Exception {
    Path built = Path.of(System.getProperty("p2p.native.build"));
    assertThat(run(built, name, library.isEmpty() ? "" : built.resolve(library).toString()))
        .isEmpty();
  }

  @Test
  void theCoreHoldsWithAGpu() throws Exception {
    assumeTrue(Files.exists(Path.of("/dev/nvidiactl")), "there is no NVIDIA GPU on this machine");
    Path built = Path.of(System.getProperty("p2p.native.build"));
    assertThat(run(built, "p2p_cuda_driver", "libcuda.so.1")).startsWith("checked with a GPU");
  }

  private static String run(Path built, String name, String library) throws Exception {
    Path driver = built.resolve(name);
    Natives.assume(
        Files.isExecutable(driver),
        driver + " was not built: no cmake, no C compiler, or one without sanitizers");
    List<String> command = new ArrayList<>(List.of(driver.toString()));
    if (!library.isEmpty()) {
      command.add(library);
    }
    Child run = Child.run(command);
    assertThat(run.exit()).as(run.output()).isZero();
    return run.output();
  }
}
