package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** What the tests on RDMA stand on: the guest runs what it is given, and has a device. */
@Tag("vm")
@ExtendWith(NeedsGuest.class)
class GuestTest {

  private static final List<String> JAVA =
      List.of(
          Path.of(System.getProperty("java.home"), "bin", "java").toString(),
          "-Xmx512m",
          "-cp",
          System.getProperty("java.class.path"));

  @TempDir Path folder;

  @Test
  void theCommandsOutputAndStatusComeOut() throws Exception {
    Path written = folder.resolve("written");
    String script = "echo out; echo err >&2; echo file > " + written + "; exit 7";
    try (Guest guest =
        Guest.start(List.of("-f", folder.toString()), List.of("bash", "-c", script))) {
      assertThat(guest.await()).isEqualTo(new Guest.Result(7, "out\n", "err\n"));
    }
    assertThat(Files.readString(written)).isEqualTo("file\n");
  }

  @Test
  void whatIsWrittenElsewhereIsGone() throws Exception {
    Path here = folder.resolve("here");
    String script = "echo changed > " + here + " && cat " + here;
    try (Guest guest = Guest.start(List.of(), List.of("bash", "-c", script))) {
      assertThat(guest.await().output()).isEqualTo("changed\n");
    }
    assertThat(here).doesNotExist();
  }

  @Test
  void aGuestThatTakesTooLongIsEnded() throws Exception {
    try (Guest guest = Guest.start(List.of("-t", "5"), List.of("sleep", "1000"))) {
      assertThat(guest.await().exit()).isEqualTo(124);
    }
  }

  @Test
  void doctorShowsTheDevice() throws Exception {
    try (Guest guest = Guest.start(List.of(), with(JAVA, "io.uccl.p2p.cli.Main", "doctor"))) {
      Guest.Result result = guest.await();
      assertThat(result.output())
          .as(result.errors())
          .contains("device infiniband/rxe0")
          .contains("libibverbs, device rxe0 port 1, Ethernet, address 10.0.0.1 (GID 1)");
    }
  }

  @Test
  void twoGuestsReachEachOtherByRdma(@TempDir Path link) throws Exception {
    List<String> small = List.of("-c", "1", "-m", "1024", "-l", link.toString());
    try (Guest server = Guest.start(with(small, "-s", "1"), pingPong(""));
        // The server may come up later: who connects tries again.
        Guest client = Guest.start(with(small, "-s", "2"), pingPong("10.0.0.1"))) {
      Guest.Result result = client.await();
      assertThat(result.exit()).as(result.output() + result.errors()).isZero();
      assertThat(result.output()).contains("8192000 bytes in ");
      assertThat(server.await().output()).contains("8192000 bytes in ");
    }
  }

  private static List<String> pingPong(String server) {
    String command = "ibv_rc_pingpong -d rxe0 -g 1 -n 1000 " + server;
    return List.of("bash", "-c", server.isEmpty() ? command : "until " + command + "; do :; done");
  }

  private static List<String> with(List<String> options, String... more) {
    return Stream.concat(options.stream(), Stream.of(more)).toList();
  }
}
