package io.uccl.p2p.spi.nativelib;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Runs the C driver of the shim's core, plain and under the sanitizers. */
class MemoryDriverTest {

  @ParameterizedTest
  @ValueSource(strings = {"p2p_memory_driver", "p2p_memory_driver_sanitized"})
  void theCoreHolds(String name) throws Exception {
    Path driver = Path.of(System.getProperty("p2p.native.build"), name);
    Natives.assume(
        Files.isExecutable(driver),
        driver + " was not built: no cmake, no C compiler, or one without sanitizers");
    Child run = Child.run(List.of(driver.toString()));
    assertThat(run.output()).isEmpty();
    assertThat(run.exit()).isZero();
  }
}
