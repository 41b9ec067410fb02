package io.uccl.p2p.conformance;

import io.uccl.p2p.guest.VerbsKit;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;

/**
 * The kit on an RDMA device of this machine, with the environment's devices and settings; see
 * {@code docs/rdma-hardware-checklist.md}. On hardware nobody has run it yet.
 */
@Tag("prove-only")
@Tag("rdma")
class RdmaDeviceConformanceTest extends VerbsKit {

  private static final Path DEVICES = Path.of("/sys/class/infiniband");

  @BeforeAll
  static void findADevice() {
    RealDevice.require("rdma", !devices().isEmpty(), "there is no RDMA device in " + DEVICES);
  }

  private static List<Path> devices() {
    if (!Files.isDirectory(DEVICES)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(DEVICES)) {
      return entries.toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  protected Map<String, String> environment() {
    return RealDevice.environment();
  }

  /** One that is on no bus is in software, and its messages are short. */
  @Override
  protected long longestOperation() {
    boolean software = devices().stream().noneMatch(each -> Files.exists(each.resolve("device")));
    return software ? super.longestOperation() : 256L << 20;
  }

  @Override
  protected boolean largeOperations() {
    return true;
  }

  @Override
  protected boolean largeRegions() {
    return true;
  }
}
