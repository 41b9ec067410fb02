package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * A virtual machine with the RDMA device {@code rxe0} in which one command runs; {@code guest.sh}
 * says what it sees of this machine.
 */
final class Guest implements AutoCloseable {

  private static final Path SCRIPT = Path.of("src/test/guest/guest.sh").toAbsolutePath();

  /** Emulation is slow, and the machine may be busy. */
  private static final int SECONDS = 300;

  private final Process process;
  private final CompletableFuture<String> output;
  private final CompletableFuture<String> errors;

  private Guest(Process process) {
    this.process = process;
    this.output = CompletableFuture.supplyAsync(() -> read(process.getInputStream()));
    this.errors = CompletableFuture.supplyAsync(() -> read(process.getErrorStream()));
  }

  /** What stands in front of a command to run it in a guest; options are those of the script. */
  static List<String> command(String... options) {
    return Stream.concat(Stream.of(SCRIPT.toString(), "run"), Stream.of(options)).toList();
  }

  /** Starts one; options are those of {@code guest.sh}. */
  static Guest start(List<String> options, List<String> command) throws IOException {
    List<String> all = new ArrayList<>(command("-t", Integer.toString(SECONDS)));
    all.addAll(options);
    all.addAll(command);
    return new Guest(new ProcessBuilder(all).start());
  }

  /** The same with a standard error that is this process's. */
  static Guest startVisibly(List<String> options, List<String> command) throws IOException {
    List<String> all = new ArrayList<>(command(options.toArray(String[]::new)));
    all.addAll(command);
    ProcessBuilder builder = new ProcessBuilder(all);
    return new Guest(builder.redirectError(ProcessBuilder.Redirect.INHERIT).start());
  }

  private static String read(InputStream from) {
    try {
      return new String(from.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What the command left behind. */
  record Result(int exit, String output, String errors) {}

  /** Waits for the command's end. */
  Result await() throws InterruptedException {
    // The script ends the guest when its time is over, so this is for a script that does not.
    assertThat(process.waitFor(2L * SECONDS, TimeUnit.SECONDS)).as("the guest ends").isTrue();
    try {
      return new Result(process.exitValue(), output.get(), errors.get());
    } catch (ExecutionException e) {
      throw new AssertionError("the guest's output was lost", e);
    }
  }

  @Override
  public void close() {
    // TERM: the script's child, which is the guest, ends with it.
    process.descendants().forEach(ProcessHandle::destroy);
    process.destroy();
  }
}
