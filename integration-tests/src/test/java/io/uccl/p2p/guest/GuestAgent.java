package io.uccl.p2p.guest;

import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Starts processes in the second of two guests for the first one, where each is a {@link
 * GuestProcess}. A process has a TCP connection of its own, and is killed when that ends.
 *
 * <p>On the connection go, in the forms of {@link DataOutputStream}:
 *
 * <pre>
 * to the agent:    how many words the command has (int), and each word (UTF);
 *                  how many variables there are for it (int), and each name and value (UTF);
 *                  then, as often as wanted, a length (int) and as many bytes of standard input;
 *                  or END_OF_INPUT; or KILL
 * from the agent:  as often as wanted, a length (int) and as many bytes of standard output;
 *                  then ENDED and the exit status (int)
 * </pre>
 *
 * <p>Its standard error is the agent's.
 */
final class GuestAgent {

  static final String ADDRESS = "10.0.0.2";
  static final int PORT = 7777;

  static final int END_OF_INPUT = -1;
  static final int KILL = -2;
  static final int ENDED = -3;

  private final Socket client;
  private final DataInputStream in;
  private final DataOutputStream out;

  private GuestAgent(Socket client) throws IOException {
    this.client = client;
    client.setTcpNoDelay(true);
    in = new DataInputStream(client.getInputStream());
    out = new DataOutputStream(new BufferedOutputStream(client.getOutputStream()));
  }

  /** Serves until its guest ends. */
  public static void main(String[] arguments) throws IOException {
    try (ServerSocket listener = new ServerSocket(PORT, 50, InetAddress.getByName(ADDRESS))) {
      while (true) {
        new Thread(new GuestAgent(listener.accept())::serve, "a client").start();
      }
    }
  }

  private void serve() {
    try (client) {
      ProcessBuilder builder =
          new ProcessBuilder(command()).redirectError(ProcessBuilder.Redirect.INHERIT);
      builder.environment().putAll(variables());
      Process process = builder.start();
      Thread output = new Thread(() -> sendOutput(process), "output of " + process.pid());
      output.start();
      try {
        takeInput(process);
      } finally {
        process.destroyForcibly();
        output.join();
      }
    } catch (IOException | InterruptedException e) {
      System.err.println("agent: a client ended with " + e);
    }
  }

  private List<String> command() throws IOException {
    List<String> command = new ArrayList<>();
    for (int left = in.readInt(); left > 0; left--) {
      command.add(in.readUTF());
    }
    return command;
  }

  private Map<String, String> variables() throws IOException {
    Map<String, String> variables = new HashMap<>();
    for (int left = in.readInt(); left > 0; left--) {
      variables.put(in.readUTF(), in.readUTF());
    }
    return variables;
  }

  /** Returns when the client goes. */
  private void takeInput(Process process) throws IOException {
    OutputStream to = process.getOutputStream();
    try {
      while (true) {
        int next = in.readInt();
        if (next == KILL) {
          process.destroyForcibly();
        } else if (next == END_OF_INPUT) {
          to.close();
        } else {
          to.write(in.readNBytes(next));
          to.flush();
        }
      }
    } catch (EOFException e) {
      // It has closed the connection.
    }
  }

  private void sendOutput(Process process) {
    byte[] bytes = new byte[1 << 16];
    try (InputStream from = process.getInputStream()) {
      for (int length = from.read(bytes); length >= 0; length = from.read(bytes)) {
        out.writeInt(length);
        out.write(bytes, 0, length);
        out.flush();
      }
      out.writeInt(ENDED);
      out.writeInt(process.waitFor());
      out.flush();
    } catch (IOException | InterruptedException e) {
      throw new IllegalStateException("nobody takes the output of a process any more", e);
    }
  }
}
