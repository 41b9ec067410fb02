package com.example.p2p.unix;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.ChannelRole;
import io.uccl.p2p.spi.CompletionBuffer;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.PendingChannel;
import io.uccl.p2p.spi.RegionName;
import io.uccl.p2p.spi.RegisteredMemory;
import io.uccl.p2p.spi.Transport;
import io.uccl.p2p.spi.TransportCapabilities;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The opened transport: a listening socket, a selector over all sockets, and what is to be
 * reported.
 *
 * <p>The engine calls from one thread at a time, so there are no locks. What a selected socket has
 * to do is attached to its key as a {@link Runnable}.
 */
final class UnixTransport implements Transport {

  private static final TransportCapabilities CAPABILITIES =
      new TransportCapabilities(
          TransportCapabilities.Refusal.PER_OPERATION,
          TransportCapabilities.TargetChecks.ALL,
          TransportCapabilities.Expiry.CLOSES_CHANNEL,
          true,
          Long.MAX_VALUE);

  private static final String FOLDER_PREFIX = "unix-p2p-";
  private static final String SOCKET_NAME = "socket";
  private static final int BACKLOG = 1024;

  /** Sockets that have not greeted; when there are more, the oldest is closed. */
  private static final int MAX_GUESTS = 256;

  private final Path path;
  private final ServerSocketChannel listener;
  private final Selector selector;
  private final int window;
  private final SecureRandom random = new SecureRandom();
  private final Map<Integer, UnixMemory> memories = new HashMap<>();
  private final Map<Long, UnixChannel> channels = new HashMap<>();
  private final ArrayDeque<Guest> guests = new ArrayDeque<>();
  private final ArrayDeque<CompletionBuffer.ChannelEvent> events = new ArrayDeque<>();
  private final ArrayDeque<Report> reports = new ArrayDeque<>();
  private final AtomicBoolean woken = new AtomicBoolean();
  private long activity;
  private boolean closed;

  /** How an operation ended; no failure: well. */
  private record Report(long id, P2pException failure) {}

  private UnixTransport(Path path, ServerSocketChannel listener, Selector selector, int window) {
    this.path = path;
    this.listener = listener;
    this.selector = selector;
    this.window = window;
  }

  /** Listens in a new folder that only this user can enter. */
  static UnixTransport open(Path directory, int window) {
    Path folder = null;
    ServerSocketChannel listener = null;
    Selector selector = null;
    try {
      folder =
          Files.createTempDirectory(
              directory.toAbsolutePath(),
              FOLDER_PREFIX,
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      Path path = folder.resolve(SOCKET_NAME);
      listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
      listener.bind(UnixDomainSocketAddress.of(path), BACKLOG);
      listener.configureBlocking(false);
      selector = Selector.open();
      UnixTransport transport = new UnixTransport(path, listener, selector, window);
      listener.register(selector, SelectionKey.OP_ACCEPT, (Runnable) transport::accept);
      return transport;
    } catch (IOException e) {
      closeQuietly(selector);
      closeQuietly(listener);
      if (folder != null) {
        deleteQuietly(folder.resolve(SOCKET_NAME));
        deleteQuietly(folder);
      }
      throw new TransportUnavailableException(
          "the unix transport cannot listen in " + directory + ": " + e.getMessage(),
          FailureDetail.remedy(
              "Set "
                  + UnixTransportProvider.DIRECTORY.name()
                  + " to a writable folder whose path has at most 60 bytes"),
          e);
    }
  }

  @Override
  public TransportCapabilities capabilities() {
    return CAPABILITIES;
  }

  // -- regions

  @Override
  public RegisteredMemory register(RegionName name, MemorySpan span) {
    UnixMemory memory = new UnixMemory(this, name, span, random.nextLong());
    memories.put(name.rid(), memory);
    return memory;
  }

  /** The open region of an id, or null. */
  UnixMemory memory(int rid) {
    return memories.get(rid);
  }

  void forget(UnixMemory memory) {
    memories.remove(memory.rid(), memory);
  }

  // -- channels

  @Override
  public PendingChannel prepare(ChannelRole role) {
    return new UnixPendingChannel(role, random.nextLong());
  }

  /**
   * A cookie and the way here. Nothing is held before {@link #complete}, so nothing is given up.
   */
  private final class UnixPendingChannel implements PendingChannel {
    private final ChannelRole role;
    private final long cookie;

    UnixPendingChannel(ChannelRole role, long cookie) {
      this.role = role;
      this.cookie = cookie;
    }

    @Override
    public byte[] parameters() {
      byte[] name = path.toString().getBytes(StandardCharsets.UTF_8);
      return ByteBuffer.allocate(Long.BYTES + name.length).putLong(cookie).put(name).array();
    }

    @Override
    public Channel complete(byte[] remote) {
      if (remote.length <= Long.BYTES) {
        throw new HandshakeException("the peer's parameters are too short", UnixChannel.DETAIL);
      }
      long peerCookie = ByteBuffer.wrap(remote).getLong();
      Path peer = peerPath(remote);
      UnixChannel channel = new UnixChannel(UnixTransport.this, cookie, peerCookie, window);
      channels.put(cookie, channel);
      if (role == ChannelRole.CONNECTOR) {
        dial(channel, peer);
      }
      return channel;
    }

    @Override
    public void abort() {}
  }

  /** A peer may not send this process to just any socket of the machine. */
  private static Path peerPath(byte[] remote) {
    String name =
        new String(remote, Long.BYTES, remote.length - Long.BYTES, StandardCharsets.UTF_8);
    try {
      Path path = Path.of(name);
      if (path.isAbsolute()
          && path.endsWith(SOCKET_NAME)
          && path.getNameCount() > 1
          && path.getName(path.getNameCount() - 2).toString().startsWith(FOLDER_PREFIX)) {
        return path;
      }
    } catch (InvalidPathException e) {
      // Said below.
    }
    throw new HandshakeException(
        "the peer's parameters do not name a socket of the unix transport", UnixChannel.DETAIL);
  }

  /** The connector dials; a unix-domain socket is connected at once or not at all. */
  private void dial(UnixChannel channel, Path peer) {
    SocketChannel socket = null;
    try {
      socket = SocketChannel.open(StandardProtocolFamily.UNIX);
      socket.configureBlocking(false);
      if (!socket.connect(UnixDomainSocketAddress.of(peer))) {
        throw new IOException("too many others are waiting there");
      }
      channel.attach(socket, socket.register(selector, SelectionKey.OP_READ));
    } catch (IOException e) {
      closeQuietly(socket);
      channel.fail(
          new PeerUnreachableException(
              peer + " does not answer: " + e.getMessage(),
              UnixChannel.DETAIL.withRemedy(
                  "The unix transport connects processes of one machine; use tcp between two"),
              e));
    }
  }

  private void accept() {
    try {
      SocketChannel socket = listener.accept();
      while (socket != null) {
        socket.configureBlocking(false);
        guests.add(new Guest(socket, socket.register(selector, SelectionKey.OP_READ)));
        if (guests.size() > MAX_GUESTS) {
          guests.getFirst().leave();
        }
        socket = listener.accept();
      }
    } catch (IOException e) {
      // The connector's socket is gone, or this process has no more files. The listener stays.
    }
  }

  /** An accepted socket whose greeting tells which channel it belongs to. */
  private final class Guest implements Runnable {
    private final SocketChannel socket;
    private final SelectionKey key;
    private final ByteBuffer in = ByteBuffer.allocate(Frame.HEADER_BYTES);

    Guest(SocketChannel socket, SelectionKey key) {
      this.socket = socket;
      this.key = key;
      key.attach(this);
    }

    @Override
    public void run() {
      try {
        int count = socket.read(in);
        if (count < 0) {
          leave();
        } else if (!in.hasRemaining()) {
          Frame greeting = Frame.decode(in.flip());
          UnixChannel channel = channels.get(greeting.id());
          if (channel != null && channel.expects(greeting)) {
            guests.remove(this);
            channel.attach(socket, key);
            channel.becomeReady();
          } else {
            leave();
          }
        }
      } catch (IOException e) {
        leave();
      }
    }

    void leave() {
      guests.remove(this);
      closeQuietly(socket);
    }
  }

  void forget(UnixChannel channel) {
    channels.remove(channel.cookie());
  }

  // -- progress

  void moved(int bytes) {
    activity += bytes;
  }

  void report(long id, P2pException failure) {
    reports.add(new Report(id, failure));
  }

  void reportReady(UnixChannel channel) {
    events.add(new CompletionBuffer.ChannelEvent(channel, null));
  }

  void reportFailed(UnixChannel channel, P2pException failure) {
    events.add(new CompletionBuffer.ChannelEvent(channel, failure));
  }

  @Override
  public boolean poll(CompletionBuffer into) {
    long before = activity;
    try {
      selector.selectNow(key -> ((Runnable) key.attachment()).run());
    } catch (IOException e) {
      throw new UncheckedIOException("the selector of the unix transport failed", e);
    }
    // A channel that fails leaves the map.
    List.copyOf(channels.values()).forEach(UnixChannel::send);
    while (!events.isEmpty()) {
      CompletionBuffer.ChannelEvent event = events.remove();
      if (event.failure() == null) {
        into.ready(event.channel());
      } else {
        into.failed(event.channel(), event.failure());
      }
      activity++;
    }
    while (!reports.isEmpty() && into.remaining() > 0) {
      Report report = reports.remove();
      if (report.failure() == null) {
        into.done(report.id());
      } else {
        into.failed(report.id(), report.failure());
      }
      activity++;
    }
    return activity != before;
  }

  @Override
  public void block(long nanos) {
    // The selector forgets a wakeup at the next selectNow; so it is kept here too.
    if (woken.getAndSet(false) || !events.isEmpty() || !reports.isEmpty()) {
      return;
    }
    channels.values().forEach(UnixChannel::awaitReadiness);
    try {
      selector.select(key -> {}, Math.max(1, TimeUnit.NANOSECONDS.toMillis(nanos)));
    } catch (IOException e) {
      // The next poll meets it too, and throws.
    }
    woken.set(false);
  }

  @Override
  public void wakeup() {
    woken.set(true);
    selector.wakeup();
  }

  // -- the end

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    List.copyOf(channels.values()).forEach(UnixChannel::close);
    List.copyOf(guests).forEach(Guest::leave);
    List.copyOf(memories.values()).forEach(UnixMemory::close);
    events.clear();
    reports.clear();
    closeQuietly(listener);
    closeQuietly(selector);
    deleteQuietly(path);
    deleteQuietly(path.getParent());
  }

  static void closeQuietly(Closeable resource) {
    try {
      if (resource != null) {
        resource.close();
      }
    } catch (IOException e) {
      // It is gone either way.
    }
  }

  private static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      // What is left is an empty folder, or a socket that nobody listens on.
    }
  }
}
