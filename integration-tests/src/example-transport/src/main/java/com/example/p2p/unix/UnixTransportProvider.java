package com.example.p2p.unix;

import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportContext;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Declares the transport {@code unix}: unix-domain sockets between processes of one machine. */
public final class UnixTransportProvider implements TransportProvider {

  static final String NAME = "unix";

  static final Setting<Path> DIRECTORY =
      new Setting<>(
          "UNIX_P2P_DIR",
          "folder in which the unix transport makes a private folder for its socket",
          "the JVM's java.io.tmpdir",
          "a path",
          Path.of(System.getProperty("java.io.tmpdir")),
          Path::of);

  /** For {@link java.util.ServiceLoader}. */
  public UnixTransportProvider() {}

  @Override
  public String name() {
    return NAME;
  }

  /** The letters UNIX as they stand on the wire. The priority stays 0: it has to be named. */
  @Override
  public int handshakeMagic() {
    return 'U' | 'N' << 8 | 'I' << 16 | 'X' << 24;
  }

  @Override
  public List<Setting<?>> settings() {
    return List.of(DIRECTORY);
  }

  @Override
  public Availability probe(Map<String, String> environment) {
    Path directory = DIRECTORY.in(environment);
    if (!Files.isDirectory(directory) || !Files.isWritable(directory)) {
      return Availability.unavailable(
          directory + " is not a folder that this process can write to",
          "Set " + DIRECTORY.name() + " to one that it can write to");
    }
    try {
      ServerSocketChannel.open(StandardProtocolFamily.UNIX).close();
      return Availability.available("unix-domain sockets in " + directory);
    } catch (IOException | UnsupportedOperationException e) {
      return Availability.unavailable(
          "this machine has no unix-domain sockets: " + e.getMessage(), "Use another transport");
    }
  }

  @Override
  public Transport open(TransportContext context) {
    return UnixTransport.open(DIRECTORY.in(context.environment()), context.maxInflightOperations());
  }
}
