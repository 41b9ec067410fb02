package io.uccl.p2p.cli;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.DeadlineExceededException;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.TransportUnavailableException;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
class MainTest {

  private final TestConsole console = new TestConsole();

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "bench --sizes 12X | --sizes",
        "bench --sizes 0 | give bytes from 1 on",
        "bench --num-iovs 1,x | --num-iovs",
        "bench --iters 0 | --iters 0: give a number from 1 on",
        "bench --iters many | --iters",
        "bench --pairs 0 | --pairs 0: give",
        "bench --seconds 0 | --seconds 0.0: give",
        "bench --seconds NaN | --seconds NaN: give",
        "bench --seconds soon | 'soon' is no number",
        "bench --mode sideways | 'sideways' is none of write, read",
        "bench --format xml | 'xml' is none of table, csv, json",
        "bench --layout wide | 'wide' is none of default, nixlbench",
        "bench --device tpu | 'tpu' is none of cpu, gpu",
        "bench --layout nixlbench --format json | --format json: --layout nixlbench is a table",
        "bench --ipc | --ipc: the IPC transport is not built yet",
        "bench --device gpu | --device gpu: transfers of GPU memory are not built yet",
        "bench --simulate-cxi | --simulate-cxi: there is no simulated fabric",
        "bench --simulate-cxi --transport tcp | --simulate-cxi: --transport tcp is another one",
        "bench --float-type fp8 | --float-type fp8: nothing is compressed here",
        "bench --local-gpu-idx -1 | --local-gpu-idx -1",
        "bench --role client | add --peer HOST:PORT",
        "bench --role client --peer host | --peer host: give HOST:PORT",
        "bench --role client --peer host:70000 | --peer host:70000: give HOST:PORT",
        "bench --peer 127.0.0.1:5 | add --role client or server",
        "bench --role king | 'king' is none of server, client",
        "bench --mode READ --iters 0 | --iters 0: give a number from 1 on",
        "bench --piped | --piped: only for --role server",
        "bench --sizes 9000000000G | is not a size",
        "bench --sizes 4000000000G --num-iovs 4 | more bytes than 2^63",
        "bench --nonsense | --nonsense",
        "bench --iters 1 --iters 2 | --iters",
        "doctor --nonsense | --nonsense",
        "dance | dance",
        "'' | a command is missing",
      })
  void wrongUsageIsOneLineAndTwo(String typed, String said) {
    String[] arguments = typed.isEmpty() ? new String[0] : typed.split(" ");
    assertThat(console.run(arguments)).isEqualTo(ExitCode.USAGE);
    assertThat(console.errLines()).hasSize(1);
    assertThat(console.errLines().get(0)).startsWith("p2p: ").contains(said);
    assertThat(console.out()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "UCCL_P2P_LOG_LEVEL,loud",
    "UCCL_P2P_MAX_INFLIGHT_OPS,0",
    "UCCL_P2P_MAX_INFLIGHT_OPZ,32",
    "UCCL_CXI_CQ_SIZE,many",
    "UCCL_TCP_DATA_PORT,70000",
    "UCCL_P2P_TRANSPORT,tpc"
  })
  void aWrongEnvironmentIsOneLineAndTwo(String name, String value) {
    console.with(name, value);
    assertThat(console.run("bench", "--pairs", "1")).isEqualTo(ExitCode.USAGE);
    assertThat(console.errLines()).hasSize(1);
    assertThat(console.errLines().get(0)).startsWith("p2p: ").contains(name);
    assertThat(console.out()).isEmpty();
  }

  @Test
  void anUnknownTransportIsToldWhatThereIs() {
    assertThat(console.run("bench", "--transport", "nonsense")).isEqualTo(ExitCode.USAGE);
    assertThat(console.errLines()).hasSize(1);
    assertThat(console.errLines().get(0)).contains("nonsense", "tcp", "cxi", "rdma");
  }

  @Test
  void theOptionBeatsTheEnvironment() {
    console.with("UCCL_P2P_TRANSPORT", "tcp");
    assertThat(console.run("bench", "--transport", "nonsense")).isEqualTo(ExitCode.USAGE);
  }

  @Test
  void nobodyAtThePeersPortIsFour() throws IOException {
    try (Socket taken = new Socket()) {
      // Kept, so that nobody else is given the port and listens on it.
      taken.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
      String peer = "127.0.0.1:" + taken.getLocalPort();
      int code = console.run("bench", "--role", "client", "--peer", peer);
      assertThat(code).isEqualTo(ExitCode.PEER_UNREACHABLE);
      assertThat(console.errLines().get(console.errLines().size() - 1)).contains(peer);
      assertThat(console.out()).isEmpty();
    }
  }

  @Test
  void aPeerThatSpeaksAnotherProtocolIsFour() throws Exception {
    try (ServerSocket stranger = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      CompletableFuture<Void> answered =
          CompletableFuture.runAsync(
              () -> {
                try (Socket socket = stranger.accept()) {
                  socket.getOutputStream().write("SSH-2.0-OpenSSH_9.2\r\n".getBytes(US_ASCII));
                  // Until the tool has gone away.
                  socket.getInputStream().transferTo(OutputStream.nullOutputStream());
                } catch (IOException e) {
                  // It may go away by a reset.
                }
              });
      String peer = "127.0.0.1:" + stranger.getLocalPort();
      int code = console.run("bench", "--role", "client", "--peer", peer);
      assertThat(code).isEqualTo(ExitCode.PEER_UNREACHABLE);
      assertThat(console.errLines()).hasSize(2);
      assertThat(console.errLines().get(1)).startsWith("p2p: ").contains(peer, "another protocol");
      assertThat(console.out()).isEmpty();
      answered.get(10, TimeUnit.SECONDS);
    }
  }

  @Test
  void aServerThatIsNotAtTheNamedAddressSaysWhereItIs() {
    int code = console.run("bench", "--role", "server", "--peer", "192.0.2.77:5999");
    assertThat(code).isEqualTo(ExitCode.USAGE);
    assertThat(console.errLines()).hasSize(1);
    assertThat(console.errLines().get(0)).contains("192.0.2.77:5999", "127.0.0.1:5999");
  }

  @Test
  void helpAndVersionGoToStdout() {
    assertThat(console.run("bench", "--help")).isEqualTo(ExitCode.OK);
    assertThat(console.out())
        .contains("--num-iovs", "--simulate-cxi", "write|read", "Default: write", "Default: table")
        .doesNotContain("--piped", "WRITE", "TABLE");
    TestConsole other = new TestConsole();
    assertThat(other.run("--version")).isEqualTo(ExitCode.OK);
    assertThat(other.out()).matches("p2p \\d+\\.\\d+.*\\R");
  }

  @Test
  void failuresHaveTheirCodes() {
    FailureDetail none = FailureDetail.NONE;
    assertThat(Failures.exitCode(new ConfigurationException("x", none))).isEqualTo(2);
    assertThat(Failures.exitCode(ToolException.usage("x"))).isEqualTo(2);
    assertThat(Failures.exitCode(new TransportUnavailableException("x", none))).isEqualTo(3);
    assertThat(Failures.exitCode(new PeerUnreachableException("x", none))).isEqualTo(4);
    assertThat(Failures.exitCode(new HandshakeException("x", none))).isEqualTo(4);
    assertThat(Failures.exitCode(new PeerLostException("x", none))).isEqualTo(1);
    assertThat(Failures.exitCode(new DeadlineExceededException("x", none))).isEqualTo(1);
    assertThat(Failures.exitCode(new IOException("x"))).isEqualTo(1);
    assertThat(Failures.exitCode(new IllegalStateException("x"))).isEqualTo(1);
    assertThat(Failures.exitCode(new InterruptedException())).isEqualTo(130);
  }

  @Test
  void failuresAreOneLine() {
    assertThat(Failures.line(ToolException.usage("one\ntwo\r\n  three\n")))
        .isEqualTo("one; two; three");
    assertThat(Failures.line(new IllegalStateException("odd")))
        .isEqualTo(
            "unexpected java.lang.IllegalStateException: odd; --debug shows where it comes from");
    assertThat(Failures.line(new IOException("gone"))).isEqualTo("input or output failed: gone");
  }

  @Test
  void logLevelsOfTheBackEnd() {
    assertThat(LogLevel.backEndLevel("INFO")).isEqualTo("info");
    assertThat(LogLevel.backEndLevel("WARNING")).isEqualTo("warn");
    assertThat(LogLevel.backEndLevel("ERROR")).isEqualTo("error");
    assertThat(LogLevel.backEndLevel("FATAL")).isEqualTo("off");
  }
}
