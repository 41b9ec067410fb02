package io.uccl.p2p.guest;

import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.ConnectException;
import java.net.NoRouteToHostException;
import java.net.Socket;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;

/**
 * A process in the second of two guests, as the first one has it; {@link GuestAgent} starts it. Its
 * end is seen by whoever reads its output to the end.
 */
public final class GuestProcess extends Process {

  /** The other guest may boot later. */
  private static final Duration PATIENCE = Duration.ofMinutes(2);

  private final Socket agent;
  private final DataOutputStream to;
  private final DataInputStream from;
  private final OutputStream input = new Input();
  private final InputStream output = new Output();
  private final CompletableFuture<Integer> status = new CompletableFuture<>();

  private GuestProcess(Socket agent) throws IOException {
    this.agent = agent;
    agent.setTcpNoDelay(true);
    to = new DataOutputStream(new BufferedOutputStream(agent.getOutputStream()));
    from = new DataInputStream(agent.getInputStream());
  }

  /** Starts what a builder has, with the project's variables of its environment. */
  public static GuestProcess start(ProcessBuilder builder) throws IOException {
    GuestProcess process = new GuestProcess(connect());
    process.sendStart(builder.command(), builder.environment());
    return process;
  }

  private static Socket connect() throws IOException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (true) {
      try {
        return new Socket(GuestAgent.ADDRESS, GuestAgent.PORT);
      } catch (ConnectException | NoRouteToHostException e) {
        if (System.nanoTime() - deadline > 0) {
          throw e;
        }
        // Both guests share this machine's processors: trying without a pause would hold the other
        // up.
        LockSupport.parkNanos(Duration.ofMillis(100).toNanos());
      }
    }
  }

  private synchronized void sendStart(List<String> command, Map<String, String> environment)
      throws IOException {
    to.writeInt(command.size());
    for (String word : command) {
      to.writeUTF(word);
    }
    List<Map.Entry<String, String>> variables =
        environment.entrySet().stream().filter(each -> each.getKey().startsWith("UCCL_")).toList();
    to.writeInt(variables.size());
    for (Map.Entry<String, String> each : variables) {
      to.writeUTF(each.getKey());
      to.writeUTF(each.getValue());
    }
    to.flush();
  }

  private synchronized void sendInput(byte[] bytes, int offset, int length) throws IOException {
    to.writeInt(length);
    to.write(bytes, offset, length);
    to.flush();
  }

  private synchronized void send(int order) throws IOException {
    to.writeInt(order);
    to.flush();
  }

  @Override
  public OutputStream getOutputStream() {
    return input;
  }

  @Override
  public InputStream getInputStream() {
    return output;
  }

  /** Goes to the standard error of the agent. */
  @Override
  public InputStream getErrorStream() {
    return InputStream.nullInputStream();
  }

  @Override
  public int waitFor() throws InterruptedException {
    try {
      return status.get();
    } catch (ExecutionException e) {
      throw new IllegalStateException("how the process ended is not known", e);
    }
  }

  @Override
  public boolean waitFor(long timeout, TimeUnit unit) throws InterruptedException {
    try {
      status.get(timeout, unit);
      return true;
    } catch (TimeoutException e) {
      return false;
    } catch (ExecutionException e) {
      throw new IllegalStateException("how the process ended is not known", e);
    }
  }

  @Override
  public int exitValue() {
    if (!status.isDone()) {
      throw new IllegalThreadStateException("the process has not ended");
    }
    return status.join();
  }

  /** Kills it. */
  @Override
  public void destroy() {
    try {
      send(GuestAgent.KILL);
    } catch (IOException e) {
      if (!status.isDone()) {
        throw new UncheckedIOException("the agent is not there any more", e);
      }
    }
  }

  private final class Input extends OutputStream {

    private boolean closed;

    @Override
    public void write(int b) throws IOException {
      write(new byte[] {(byte) b});
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      sendInput(bytes, offset, length);
    }

    @Override
    public void close() throws IOException {
      if (!closed) {
        closed = true;
        send(GuestAgent.END_OF_INPUT);
      }
    }
  }

  /** For one thread. */
  private final class Output extends InputStream {

    /** Bytes that are left of those that the agent has announced. */
    private int left;

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
      try {
        if (left == 0) {
          left = from.readInt();
        }
        if (left == GuestAgent.ENDED) {
          end();
          return -1;
        }
        int read = from.read(bytes, offset, Math.min(left, length));
        left -= read;
        return read;
      } catch (IOException e) {
        status.completeExceptionally(e);
        throw e;
      }
    }

    private void end() throws IOException {
      if (!status.isDone()) {
        status.complete(from.readInt());
        agent.close();
      }
    }
  }
}
