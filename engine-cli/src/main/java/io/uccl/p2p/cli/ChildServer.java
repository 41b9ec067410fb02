package io.uccl.p2p.cli;

import io.uccl.p2p.EndpointMetadata;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * The benchmark's server in a process of its own on this machine.
 *
 * <p>The child ends when its standard input does: whatever happens to this process, no child stays.
 */
final class ChildServer implements AutoCloseable {

  private static final int START_SECONDS = 60;
  private static final int END_SECONDS = 3;

  private final Process process;
  private final Thread hook;
  private final BufferedReader output;

  private ChildServer(Process process) {
    this.process = process;
    this.output =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    this.hook = new Thread(process::destroy, "p2p-bench-child-ending");
  }

  /**
   * Starts it.
   *
   * @param environment of the child, in place of this process's
   */
  static ChildServer start(List<String> command, Map<String, String> environment)
      throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().clear();
    builder.environment().putAll(environment);
    ChildServer child = new ChildServer(builder.start());
    try {
      Runtime.getRuntime().addShutdownHook(child.hook);
    } catch (IllegalStateException e) {
      child.process.destroy();
      throw new ToolException(ExitCode.INTERRUPTED, "interrupted", e);
    }
    return child;
  }

  long pid() {
    return process.pid();
  }

  /**
   * Waits until the child's engine is open.
   *
   * @throws ToolException with the child's exit code if it ended instead
   */
  EndpointMetadata metadata() throws InterruptedException {
    CompletableFuture<@Nullable String> line = CompletableFuture.supplyAsync(this::readLine);
    try {
      String text = line.get(START_SECONDS, TimeUnit.SECONDS);
      if (text != null) {
        return EndpointMetadata.decode(HexFormat.of().parseHex(text.strip()));
      }
    } catch (ExecutionException | TimeoutException | IllegalArgumentException e) {
      throw new ToolException(
          ExitCode.FAILED, "the target process did not say where it listens", e);
    }
    boolean ended = process.waitFor(END_SECONDS, TimeUnit.SECONDS);
    int code = ended && process.exitValue() != 0 ? process.exitValue() : ExitCode.FAILED;
    throw new ToolException(code, "the target process ended before it was ready");
  }

  /** Ends the child: gently, then not. */
  @Override
  public void close() {
    try {
      process.getOutputStream().close();
      if (!process.waitFor(END_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (IOException e) {
      process.destroyForcibly();
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The hooks are running: this one does the same as was done here.
    }
  }

  private @Nullable String readLine() {
    try {
      return output.readLine();
    } catch (IOException e) {
      return null;
    }
  }
}
