package io.uccl.p2p.guest;

import io.uccl.p2p.conformance.Standstill;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * The cable to the other one of two guests, at the end of the guest that this runs in. What leaves
 * over RDMA, which is UDP to port 4791, is in a queue of its own: when that is lost or late, TCP
 * goes on. It stands still when all that leaves over RDMA is lost.
 */
public final class Cable implements Standstill {

  /**
   * By default netem drops what is behind 1000 packets, which the queue pairs of a few connections
   * have under way.
   */
  private static final String QUEUE = "netem limit 100000";

  /** Lays the two queues; again is no harm. */
  public Cable() {
    // What no filter takes goes to the first one, whatever its type of service.
    tc("qdisc replace dev eth0 root handle 1: prio bands 2 priomap", "0 ".repeat(16));
    tc("qdisc replace dev eth0 parent 1:1 handle 11: " + QUEUE);
    tc("qdisc replace dev eth0 parent 1:2 handle 12: " + QUEUE);
    tc(
        "filter replace dev eth0 parent 1: handle 800::1 protocol ip prio 1 u32",
        "match ip protocol 17 0xff match ip dport 4791 0xffff flowid 1:2");
  }

  /** How what leaves over RDMA is treated from now on, in the words of tc-netem(8). */
  public void treatRdma(String netem) {
    tc("qdisc change dev eth0 parent 1:2 handle 12: " + QUEUE, netem);
  }

  /** How all that leaves is treated from now on. */
  public void treatAll(String netem) {
    tc("qdisc change dev eth0 parent 1:1 handle 11: " + QUEUE, netem);
    treatRdma(netem);
  }

  /** Nothing is lost or late any more. */
  public void treatAllWell() {
    treatAll("");
  }

  @Override
  public void begin() {
    treatRdma("loss 100%");
  }

  @Override
  public void end() {
    treatRdma("");
  }

  /** Pulls it out; the device sees that. */
  public void pull() {
    run("ip link set eth0 down");
  }

  /** Plugs it in again. */
  public void plug() {
    run("ip link set eth0 up");
  }

  private static void tc(String... words) {
    run("tc " + String.join(" ", words));
  }

  private static void run(String command) {
    try {
      Process process = new ProcessBuilder(command.split(" +")).redirectErrorStream(true).start();
      String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      int status = process.waitFor();
      if (status != 0) {
        throw new AssertionError(command + " ended with " + status + ": " + output);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(command, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted at " + command, e);
    }
  }
}
