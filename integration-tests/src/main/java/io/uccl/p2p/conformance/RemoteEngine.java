package io.uccl.p2p.conformance;

import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.Notification;
import io.uccl.p2p.RegionAccess;
import java.time.Duration;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/** An engine in a {@link PeerProcess}. */
record RemoteEngine(PeerProcess process, String name) implements AutoCloseable {

  EndpointMetadata metadata() {
    return EndpointMetadata.decode(HexFormat.of().parseHex(process.command("metadata", name)));
  }

  String transport() {
    return process.command("transport", name);
  }

  RemoteRegion allocate(long length) {
    return new RemoteRegion(
        process, process.command("allocate", name, length, RegionAccess.REMOTE_READ_WRITE), length);
  }

  RemoteRegion register(int length) {
    return register(length, RegionAccess.REMOTE_READ_WRITE);
  }

  /** Registers a buffer there, which can be checked also after the region's close. */
  RemoteRegion register(int length, RegionAccess access) {
    return new RemoteRegion(process, process.command("register", name, length, access), length);
  }

  RemoteConnection accept() {
    String connection = process.command("accept", name, Limits.PATIENCE.toMillis());
    if (connection.isEmpty()) {
      throw new AssertionError("no connection came to the peer process");
    }
    return new RemoteConnection(process, connection);
  }

  RemoteConnection connect(EndpointMetadata peer) {
    String bytes = HexFormat.of().formatHex(peer.encode());
    return new RemoteConnection(
        process, process.command("connect", name, bytes, Limits.PATIENCE.toMillis()));
  }

  /** The next notification there, or null if none came in time. */
  @Nullable Taken take(Duration timeout) {
    String answer = process.command("take", name, timeout.toMillis());
    if (answer.isEmpty()) {
      return null;
    }
    String[] words = answer.split(" ", -1);
    return new Taken(
        Notification.of(
            Integer.parseInt(words[0]), PeerMain.bytes(words[1]), PeerMain.bytes(words[2])),
        words[3]);
  }

  /** The next notification there. */
  Notification take() {
    Taken taken = take(Limits.PATIENCE);
    if (taken == null) {
      throw new AssertionError("no notification came to the peer process");
    }
    return taken.notification();
  }

  /** The next notification there as {@link PeerMain#sum}, or nothing if none came in time. */
  String takeSum(Duration timeout) {
    return process.command("takeSum", name, timeout.toMillis());
  }

  @Override
  public void close() {
    process.command("close", name);
  }

  /**
   * What was taken.
   *
   * @param from the name of the connection there
   */
  record Taken(Notification notification, String from) {}
}
