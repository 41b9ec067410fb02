package io.uccl.p2p.conformance;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.Notification;
import java.util.ArrayList;
import java.util.List;

/** A connection in a {@link PeerProcess}. */
record RemoteConnection(PeerProcess process, String name) {

  /** Posts there and returns the batch's name. */
  String post(List<Operation> operations) {
    List<Object> words = new ArrayList<>(List.of("post", name, Limits.PATIENCE.toMillis()));
    for (Operation each : operations) {
      words.addAll(
          List.of(
              each.write ? "w" : "r",
              each.local.name(),
              each.localOffset,
              each.remote,
              each.remoteOffset,
              each.length));
    }
    return process.command(words.toArray());
  }

  /** Waits there for the end of a batch; its failure comes as a {@link PeerFailure}. */
  void await(String batch) {
    process.command("await", batch, Limits.PATIENCE.toMillis());
  }

  void run(Operation operation) {
    await(post(List.of(operation)));
  }

  String notifyPeer(Notification notification) {
    return process.command(
        "notify",
        name,
        notification.type(),
        PeerMain.text(notification.name()),
        PeerMain.text(notification.message()));
  }

  /** Class name of the connection's failure there; empty while it is open. */
  String failure() {
    return process.command("failure", name);
  }

  void close() {
    process.command("close", name);
  }

  /** An operation that the peer process starts. */
  record Operation(
      boolean write,
      RemoteRegion local,
      long localOffset,
      FifoDescriptor remote,
      long remoteOffset,
      long length) {}
}
