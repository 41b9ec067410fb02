package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.Notification;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A process that behaves on the wire as the C++ engine does and shares no code with this one: the
 * program of {@code transport-cxi/src/test/native/peer}, and its commands. It ends with an error
 * when it gets anything that would make the C++ engine deaf.
 */
final class CppPeer {

  private static final HexFormat HEX = HexFormat.of();

  private final Process process;
  private final PrintStream commands;
  private final BufferedReader answers;
  private final Path errors;
  private boolean over;

  private CppPeer(Path folder) throws IOException {
    errors = Files.createTempFile(folder, "peer", ".err");
    process = new ProcessBuilder(NeedsLibfabric.PEER).redirectError(errors.toFile()).start();
    commands = new PrintStream(process.getOutputStream(), true, StandardCharsets.US_ASCII);
    answers = process.inputReader(StandardCharsets.US_ASCII);
  }

  /**
   * Starts one that listens and has registered memory.
   *
   * @param folder for what it says on stderr
   * @param length of its region 0
   */
  static CppPeer start(Path folder, int length) throws IOException {
    CppPeer peer = new CppPeer(folder);
    peer.run("register", length);
    return peer;
  }

  /** Listens; where an engine connects to. */
  EndpointMetadata listen() throws IOException {
    int port = Integer.parseInt(run("listen")[0]);
    return new EndpointMetadata(InetAddress.getLoopbackAddress(), port, "");
  }

  /** Runs a command; the words of its answer behind "ok". */
  String[] run(Object... words) throws IOException {
    String answer = answerTo(words);
    assertThat(answer).as("%s", words[0]).startsWith("ok");
    String[] all = answer.split(" ", -1);
    return Arrays.copyOfRange(all, 1, all.length);
  }

  /** Runs a command; its answer, which may be an error. */
  String answerTo(Object... words) throws IOException {
    begin(words);
    String answer = answers.readLine();
    if (answer == null) {
      throw new AssertionError("the peer has ended at " + words[0] + ": " + errors());
    }
    return answer;
  }

  private void begin(Object... words) {
    commands.println(String.join(" ", Arrays.stream(words).map(String::valueOf).toList()));
  }

  /** Connects to an engine; its number for that. */
  int connect(EndpointMetadata engine) throws IOException {
    return Integer.parseInt(run("connect", engine.address().getHostAddress(), engine.port())[0]);
  }

  /** Sends a handshake to an engine, for whose answer "answered" waits. */
  int beginConnect(EndpointMetadata engine) throws IOException {
    return Integer.parseInt(
        run("begin-connect", engine.address().getHostAddress(), engine.port())[0]);
  }

  /** The next engine that has connected to it; its number for that. */
  int accept() throws IOException {
    return Integer.parseInt(run("accept")[0]);
  }

  /** Advertises a part of its region 0. */
  FifoDescriptor advertise(long offset, long length) throws IOException {
    return FifoDescriptor.decode(HEX.parseHex(run("advertise", 0, offset, length)[0]));
  }

  /** Checks every byte of its region 0. */
  void assertFilled(int seed) throws IOException {
    assertThat(run("differs", 0, seed)).as("the first wrong byte").containsExactly("-1");
  }

  /** What its "fill" fills a region with, from its first byte on. */
  static byte[] pattern(int length, int seed) {
    byte[] bytes = new byte[length];
    for (int i = 0; i < length; i++) {
      bytes[i] = (byte) (i * 131 + i / 251 + seed * 29 + 1);
    }
    return bytes;
  }

  /** Has it move bytes between its region 0 and an engine's memory; "write" or "read". */
  void transfer(String what, int engine, FifoDescriptor remote) throws IOException {
    run(what, engine, 0, 0, HEX.formatHex(remote.encode()));
  }

  /**
   * Has it write its region 0 again and again, until a write fails or so many have not.
   *
   * @see #endOfWriting
   */
  void beginWriting(int engine, FifoDescriptor remote, long most) {
    begin("write-on", engine, 0, 0, HEX.formatHex(remote.encode()), most);
  }

  /** Waits until it writes no more; how many writes went well, and the error of the next or 0. */
  long[] endOfWriting() throws IOException {
    String answer = answers.readLine();
    assertThat(answer).as("write-on: %s", errors()).matches("ok \\d+ \\d+");
    return Arrays.stream(answer.substring(3).split(" ", -1)).mapToLong(Long::parseLong).toArray();
  }

  void notify(int engine, Notification notification) throws IOException {
    run(
        "notify",
        engine,
        Integer.toUnsignedString(notification.type()),
        hex(notification.name()),
        hex(notification.message()));
  }

  /** The next notification that it has got. */
  Notification notification() throws IOException {
    String[] words = run("notification");
    return Notification.of(Integer.parseUnsignedInt(words[0]), bytes(words[1]), bytes(words[2]));
  }

  private static String hex(byte[] bytes) {
    return bytes.length == 0 ? "-" : HEX.formatHex(bytes);
  }

  private static byte[] bytes(String hex) {
    return hex.equals("-") ? new byte[0] : HEX.parseHex(hex);
  }

  /** Handshakes, answers, notifications and connections that it has got. */
  List<Integer> tally() throws IOException {
    return Arrays.stream(run("tally")).map(Integer::valueOf).toList();
  }

  /** Ends it as a crash would. */
  void kill() throws InterruptedException {
    over = true;
    process.destroyForcibly().waitFor();
  }

  /** Waits for its end, which it chose itself, and says why. */
  String died() throws Exception {
    over = true;
    assertThat(process.waitFor(30, TimeUnit.SECONDS)).as("has ended").isTrue();
    assertThat(process.exitValue()).isEqualTo(3);
    return errors();
  }

  private String errors() throws IOException {
    return Files.readString(errors);
  }

  /** Has it look at all that it got on connections that end now, and end without an error. */
  void end() throws Exception {
    if (over) {
      return;
    }
    try {
      run("ended");
      commands.println("quit");
      assertThat(process.waitFor(30, TimeUnit.SECONDS)).as("has ended").isTrue();
      assertThat(process.exitValue()).as("%s", errors()).isZero();
    } finally {
      kill();
    }
  }
}
