package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The tool as scripts use it: in processes of its own. */
@Timeout(120)
class BenchEndToEndTest {

  @TempDir private Path folder;
  private final List<Process> started = new ArrayList<>();

  @AfterEach
  void endWhatIsLeft() {
    started.forEach(Process::destroyForcibly);
  }

  @Test
  void twoProcessesMoveCheckAndReport() throws Exception {
    for (String mode : new String[] {"write", "read"}) {
      Run run =
          run(
              "bench",
              "--pairs",
              "1",
              "--seconds",
              "0.1",
              "--sizes",
              "64K",
              "--num-iovs",
              "1,4",
              "--check",
              "--format",
              "json",
              "--transport",
              "tcp",
              "--mode",
              mode);
      assertThat(run.code()).as(run.err()).isZero();
      JsonNode root = new ObjectMapper().readTree(run.out());
      assertThat(root.get("transport").asText()).isEqualTo("tcp");
      assertThat(root.get("mode").asText()).isEqualTo(mode);
      assertThat(root.get("rows")).hasSize(2);
      for (JsonNode row : root.get("rows")) {
        assertThat(row.get("gb_s").doubleValue()).isPositive();
        assertThat(row.get("share_of_limit").doubleValue()).isPositive();
        assertThat(row.get("us_p99").doubleValue())
            .isGreaterThanOrEqualTo(row.get("us_p50").doubleValue());
      }
      assertThat(root.get("rows").get(1).get("total_bytes").longValue()).isEqualTo(4 * 65_536);
      assertThat(run.err())
          .contains("two processes on this machine", "UCCL_P2P_DISABLE_IPC=1", "a trial");
    }
  }

  @Test
  void aTableIsAllThatStdoutHolds() throws Exception {
    Run run =
        run(
            "bench",
            "--pairs",
            "1",
            "--seconds",
            "0.05",
            "--sizes",
            "4K",
            "--num-iovs",
            "2",
            "--async-api");
    assertThat(run.code()).as(run.err()).isZero();
    assertThat(run.out().lines()).hasSize(2);
    assertThat(run.out().lines().toList().get(1))
        .matches(" +2 \\| +8192 \\|( +[0-9.]+( \\||$)){3}");
  }

  @Test
  void serverAndClientStartedByHand() throws Exception {
    Process server = start("server", "bench", "--role", "server");
    String waiting = lineWith(server, "waiting for a client at ");
    String address = waiting.substring(waiting.lastIndexOf(' ') + 1);
    Run client =
        run(
            "bench",
            "--role",
            "client",
            "--peer",
            address,
            "--pairs",
            "1",
            "--seconds",
            "0.05",
            "--num-iovs",
            "3",
            "--sizes",
            "10000",
            "--layout",
            "nixlbench",
            "--check");
    assertThat(client.code()).as(client.err()).isZero();
    assertThat(client.out()).startsWith("Block Size (B)").contains("10000");
    assertThat(server.waitFor(20, TimeUnit.SECONDS)).isTrue();
    assertThat(server.exitValue()).isZero();
    assertThat(Files.readString(folder.resolve("server.out"))).isEmpty();
  }

  @Test
  void noChildStaysWhenTheParentIsKilled() throws Exception {
    Process parent = start("parent", "bench", "--pairs", "1", "--seconds", "60", "--num-iovs", "1");
    String line = lineWith(parent, "the target is process ");
    String pid = line.replaceAll(".*the target is process (\\d+).*", "$1");
    ProcessHandle child = ProcessHandle.of(Long.parseLong(pid)).orElseThrow();
    parent.destroyForcibly();
    child.onExit().get(20, TimeUnit.SECONDS);
  }

  @Test
  void terminationEndsTheChildToo() throws Exception {
    Process parent = start("parent", "bench", "--pairs", "1", "--seconds", "60", "--num-iovs", "1");
    String line = lineWith(parent, "the target is process ");
    String pid = line.replaceAll(".*the target is process (\\d+).*", "$1");
    ProcessHandle child = ProcessHandle.of(Long.parseLong(pid)).orElseThrow();
    Process kill = new ProcessBuilder("/bin/sh", "-c", "kill -INT " + parent.pid()).start();
    assertThat(kill.waitFor(10, TimeUnit.SECONDS)).isTrue();
    assertThat(parent.waitFor(20, TimeUnit.SECONDS)).isTrue();
    assertThat(parent.exitValue()).isEqualTo(ExitCode.INTERRUPTED);
    child.onExit().get(20, TimeUnit.SECONDS);
    assertThat(Files.readString(folder.resolve("parent.out"))).isEmpty();
  }

  private record Run(int code, String out, String err) {}

  private Run run(String... arguments) throws IOException, InterruptedException {
    File out = folder.resolve("run.out").toFile();
    File err = folder.resolve("run.err").toFile();
    Process process = builder(arguments).redirectOutput(out).redirectError(err).start();
    started.add(process);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).as(Files.readString(err.toPath())).isTrue();
    return new Run(
        process.exitValue(), Files.readString(out.toPath()), Files.readString(err.toPath()));
  }

  private Process start(String name, String... arguments) throws IOException {
    Process process =
        builder(arguments).redirectOutput(folder.resolve(name + ".out").toFile()).start();
    started.add(process);
    return process;
  }

  private static ProcessBuilder builder(String... arguments) {
    ProcessBuilder builder = new ProcessBuilder(ChildJvm.command(List.of(arguments)));
    builder.environment().keySet().removeIf(name -> name.startsWith("UCCL_"));
    builder.environment().put("UCCL_SOCKET_IFNAME", "lo");
    return builder;
  }

  private static String lineWith(Process process, String part) throws IOException {
    try (Stream<String> lines = lines(process)) {
      return lines.filter(line -> line.contains(part)).findFirst().orElseThrow();
    }
  }

  private static Stream<String> lines(Process process) {
    return new BufferedReader(process.errorReader(StandardCharsets.UTF_8)).lines();
  }
}
