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
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
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
      assertThat(root.get("limit").get("variant")).hasSize(2);
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
      assertThat(checkedBytes(run)).isGreaterThanOrEqualTo(2 * 5 * 65_536);
    }
  }

  @Test
  @Tag("prove-only")
  @Tag("check")
  @Timeout(value = 60, unit = TimeUnit.MINUTES)
  void aHundredGigabytesHaveNoWrongByte() throws Exception {
    long checked = 0;
    for (String mode : new String[] {"write", "read"}) {
      // At least 50 calls a pair and row, so the last row alone moves 350 times 150994944 bytes.
      String command = "bench --transport tcp --check --mode " + mode + " --iters 50";
      String rows = "--sizes 63,4097,1179648 --num-iovs 1,128";
      Run run = run(builder((command + " " + rows).split(" ")), Duration.ofMinutes(25));
      assertThat(run.code()).as(run.err()).isZero();
      System.out.println(run.out() + run.err());
      checked += checkedBytes(run);
    }
    assertThat(checked).isGreaterThanOrEqualTo(100_000_000_000L);
  }

  @Test
  void aByteThatIsWrongInTheTargetIsFoundByTheCheck() throws Exception {
    for (String mode : new String[] {"write", "read"}) {
      List<String> command =
          new ArrayList<>(
              ChildJvm.command(
                  List.of(
                      "bench",
                      "--pairs",
                      "1",
                      "--seconds",
                      "0.05",
                      "--sizes",
                      "10001",
                      "--num-iovs",
                      "3",
                      "--check",
                      "--mode",
                      mode)));
      command.add(1, "-D" + PlantedByte.PROPERTY + "=5:20007");
      Run run = run(builder(command));
      assertThat(run.code()).as(run.err()).isEqualTo(ExitCode.FAILED);
      assertThat(run.out()).isEmpty();
      List<String> lines = run.err().lines().toList();
      assertThat(lines.get(lines.size() - 1))
          .matches(
              "p2p: the check found a wrong byte: iteration 5, offset 20007: 0x[0-9a-f]{2} was"
                  + " expected, 0x[0-9a-f]{2} was found");
      assertThat(lines).hasSize(4);
    }
  }

  @Test
  void aWrongEnvironmentIsOneLineAndTwo() throws Exception {
    assertThat(failureWith("UCCL_P2P_TRANSPORT", "nonsense", "bench").code()).isEqualTo(2);
    assertThat(failureWith("UCCL_P2P_TRASPORT", "tcp", "bench").code()).isEqualTo(2);
    assertThat(failureWith("UCCL_SOCKET_IFNAME", "eth9", "bench").code()).isEqualTo(2);
    assertThat(failureWith("UCCL_P2P_MAX_INFLIGHT_OPS", "0", "doctor", "--json").code())
        .isEqualTo(2);
  }

  @Test
  void aVariableWithoutEffectIsOneWarningThoughThereAreTwoEngines() throws Exception {
    String[][] commands = {
      {"doctor"}, {"bench", "--pairs", "1", "--seconds", "0.05", "--sizes", "64", "--num-iovs", "1"}
    };
    for (String[] command : commands) {
      ProcessBuilder builder = builder(command);
      builder.environment().put("UCCL_P2P_RDMA_CC", "1");
      Run run = run(builder);
      assertThat(run.code()).as(run.err()).isZero();
      assertThat(run.err().lines().filter(line -> line.contains("UCCL_P2P_RDMA_CC")))
          .as("%s: %s", command[0], run.err())
          .hasSize(1);
    }
  }

  @Test
  void aTransportThatCannotWorkIsOneLineAndThree() throws Exception {
    Run run = failureWith("UCCL_P2P_TRANSPORT", "cxi", "bench");
    assertThat(run.code()).isEqualTo(ExitCode.TRANSPORT_UNAVAILABLE);
    assertThat(run.err()).contains("UCCL_P2P_TRANSPORT=tcp");
  }

  @Test
  void doctorSaysWhatIsChosen() throws Exception {
    Run run = run("doctor", "--json");
    assertThat(run.code()).as(run.err()).isZero();
    JsonNode root = new ObjectMapper().readTree(run.out());
    assertThat(root.get("choice").get("name").asText()).isEqualTo("tcp");
    assertThat(root.get("choice").get("reason").asText()).contains("cxi", "rdma");
    assertThat(run.err()).isEmpty();
  }

  @Test
  void aServerThatIsKilledFailsTheClientInOneLine() throws Exception {
    Process server = start("server", "bench", "--role", "server");
    Process client = client(address(server));
    String last = lastLineAfter(server, client);
    assertThat(client.exitValue()).isEqualTo(ExitCode.FAILED);
    assertThat(last).startsWith("p2p: ").doesNotContain("unexpected");
  }

  @Test
  void aClientThatIsKilledEndsTheServerInOneLine() throws Exception {
    Process server = start("server", "bench", "--role", "server");
    Process client = client(address(server));
    String last = lastLineAfter(client, server);
    assertThat(server.exitValue()).isEqualTo(ExitCode.FAILED);
    assertThat(last).startsWith("p2p: ").doesNotContain("unexpected");
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
    String address = address(server);
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

  private static long checkedBytes(Run run) {
    Matcher line = Pattern.compile("p2p: checked (\\d+) bytes").matcher(run.err());
    assertThat(line.find()).as(run.err()).isTrue();
    return Long.parseLong(line.group(1));
  }

  private static String address(Process server) throws IOException {
    String waiting = lineWith(server, "waiting for a client at ");
    return waiting.substring(waiting.lastIndexOf(' ') + 1);
  }

  /** A client that is in the middle of its measurement: one row is there, many are to come. */
  private Process client(String address) throws IOException {
    Process client =
        builder(
                "bench",
                "--role",
                "client",
                "--peer",
                address,
                "--pairs",
                "1",
                "--seconds",
                "0.02",
                "--format",
                "csv",
                "--num-iovs",
                "1,".repeat(300) + "1")
            .start();
    started.add(client);
    lineWith(client, "a trial");
    assertThat(client.inputReader(StandardCharsets.UTF_8).readLine()).startsWith("version,");
    return client;
  }

  /** Kills one, waits for the end of the other, and returns what that one has said since. */
  private static String lastLineAfter(Process killed, Process other) throws Exception {
    killed.destroyForcibly();
    List<String> said = other.errorReader(StandardCharsets.UTF_8).lines().toList();
    assertThat(other.waitFor(20, TimeUnit.SECONDS)).isTrue();
    assertThat(said).hasSize(1);
    return said.get(0);
  }

  private Run failureWith(String name, String value, String... arguments) throws Exception {
    ProcessBuilder builder = builder(arguments);
    builder.environment().put(name, value);
    Run run = run(builder);
    assertThat(run.err().lines()).hasSize(1);
    assertThat(run.err()).startsWith("p2p: ").contains(name);
    if (arguments[0].equals("bench")) {
      assertThat(run.out()).isEmpty();
    }
    return run;
  }

  private Run run(String... arguments) throws IOException, InterruptedException {
    return run(builder(arguments));
  }

  private Run run(ProcessBuilder builder) throws IOException, InterruptedException {
    return run(builder, Duration.ofMinutes(1));
  }

  private Run run(ProcessBuilder builder, Duration most) throws IOException, InterruptedException {
    File out = folder.resolve("run.out").toFile();
    File err = folder.resolve("run.err").toFile();
    Process process = builder.redirectOutput(out).redirectError(err).start();
    started.add(process);
    assertThat(process.waitFor(most.toSeconds(), TimeUnit.SECONDS))
        .as(Files.readString(err.toPath()))
        .isTrue();
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
    return builder(ChildJvm.command(List.of(arguments)));
  }

  private static ProcessBuilder builder(List<String> command) {
    List<String> quick = new ArrayList<>(command);
    // Nothing here is about speed, and a better compiler takes longer to start than these tests.
    quick.addAll(1, List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"));
    // A test run that was started in the background has SIGINT ignored, and so would its children.
    quick.addAll(0, List.of("env", "--default-signal=INT"));
    ProcessBuilder builder = new ProcessBuilder(quick);
    builder.environment().keySet().removeIf(name -> name.startsWith("UCCL_"));
    builder.environment().put("UCCL_SOCKET_IFNAME", "lo");
    return builder;
  }

  private static String lineWith(Process process, String part) throws IOException {
    // The same reader every time: what it has buffered is not lost.
    BufferedReader lines = process.errorReader(StandardCharsets.UTF_8);
    String line = lines.readLine();
    while (line != null && !line.contains(part)) {
      line = lines.readLine();
    }
    return Objects.requireNonNull(line, () -> "no line says " + part);
  }
}
