package io.uccl.p2p.transport.rdma;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the kernel's files say of a link. */
final class VerbsLinkTest {

  @TempDir private Path root;
  private SysfsFolder kernel;

  @BeforeEach
  void makePort() {
    kernel = new SysfsFolder(root).roce("rxe0", 10, 0, 0, 1);
  }

  private VerbsLink link() {
    return VerbsLink.of(new VerbsPort("rxe0", 1, kernel.rdmaDevices().resolve("rxe0/ports/1")), 0);
  }

  @Test
  void aPortThatIsNotActiveIsDown() {
    assertThat(link().isDown()).isFalse();
    kernel.port("rxe0", 1, "1: DOWN", "Ethernet");
    assertThat(link().isDown()).isTrue();
  }

  @Test
  void theNetworkInterfaceKnowsItBeforeThePort() {
    kernel.networkInterface("rxe0", 1, 0, "eth0", "1");
    VerbsLink link = link();
    assertThat(link.isDown()).isFalse();
    kernel.networkInterface("rxe0", 1, 0, "eth0", "0");
    assertThat(link.isDown()).isTrue();
  }

  @Test
  void anInterfaceThatIsTakenDownSaysNothing() {
    kernel.networkInterface("rxe0", 1, 0, "eth0", "1");
    VerbsLink link = link();
    kernel.networkInterface("rxe0", 1, 0, "eth0", "");
    assertThat(link.isDown()).isTrue();
  }

  @Test
  void anInterfaceOfAnotherNamespaceCannotBeAsked() throws IOException {
    kernel.networkInterface("rxe0", 1, 0, "eth0", "1");
    Path networkInterface = root.resolve("sys/class/net/eth0");
    Files.delete(networkInterface.resolve("carrier"));
    Files.delete(networkInterface);
    assertThat(link().isDown()).isFalse();
  }
}
