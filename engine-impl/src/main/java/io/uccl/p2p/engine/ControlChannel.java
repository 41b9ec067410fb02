package io.uccl.p2p.engine;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.PeerState;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.engine.ControlLink.Closing;
import io.uccl.p2p.engine.ControlLink.Stage;
import java.io.EOFException;
import java.io.IOException;
import java.net.BindException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketTimeoutException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import jdk.net.ExtendedSocketOptions;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries frames between engines over TCP: a listener, the links to peers, and the one daemon
 * thread that does all their input and output. It does not know what the frames mean, but for the
 * heartbeat: {@link Heartbeats} sends it on links that are watched.
 *
 * <p>All sockets are non-blocking. Only the control thread touches them, their selection keys and
 * their closing; other threads leave a request at a {@link ControlLink} and wake it up. What one
 * link sends, announces or does not read costs the others no more than their share of a round: a
 * round reads and writes a bounded number of bytes a link.
 */
final class ControlChannel implements AutoCloseable {

  /** How long a link that is closed after sending waits for its peer to read. */
  static final int SENDING_SECONDS = 5;

  /** How long accepting pauses at most when a connection cannot be accepted. */
  static final int ACCEPT_PAUSE_SECONDS = 1;

  private static final Logger log = LoggerFactory.getLogger(ControlChannel.class);

  private static final int BACKLOG = 1024;
  private static final int BUFFER_BYTES = 64 << 10;
  private static final int BUFFERS_PER_ROUND = 4;
  private static final int ACCEPTS_PER_ROUND = 64;
  private static final int REQUESTS_PER_ROUND = 1024;
  private static final long SENDING_NANOS = TimeUnit.SECONDS.toNanos(SENDING_SECONDS);
  private static final long DRAINING_NANOS = TimeUnit.SECONDS.toNanos(1);
  private static final byte[] HEARTBEAT = ControlCodec.encodeHeartbeat();

  // A peer that sends no heartbeats is lost with its machine after about as long as one that does.
  private static final int KEEP_ALIVE_IDLE_SECONDS = 3;
  private static final int KEEP_ALIVE_INTERVAL_SECONDS = 1;
  private static final int KEEP_ALIVE_COUNT = 3;
  private static final long ACCEPT_PAUSE_NANOS = TimeUnit.SECONDS.toNanos(ACCEPT_PAUSE_SECONDS);

  /**
   * Told what happens. All methods are called on the control thread and must not block. One that
   * throws has that logged and its link closed.
   */
  interface Listener {

    /** An outgoing link's socket is connected. */
    void onConnected(ControlLink link);

    /** A peer connected. */
    void onAccepted(ControlLink link);

    /**
     * A frame came. Not called any more once the link was told to close.
     *
     * @param payload a little-endian heap buffer, valid during the call only
     */
    void onFrame(ControlLink link, ByteBuffer payload);

    /**
     * The peer of a link that is watched is in another state. A peer that is lost is told by {@link
     * #onClosed} instead.
     */
    void onPeerState(ControlLink link, PeerState state);

    /**
     * A link is closed. Called exactly once for each link, whoever closed it, and as the first and
     * only call for one that did not connect.
     *
     * @param cause null if this side closed it and nothing went wrong with that; an {@link
     *     EOFException} if the peer did
     */
    void onClosed(ControlLink link, @Nullable IOException cause);
  }

  /** How a connection is taken off the listening socket. Tests put failures in its place. */
  interface Acceptor {
    @Nullable SocketChannel accept(ServerSocketChannel server) throws IOException;
  }

  private final Listener listener;
  private final Acceptor acceptor;
  private final ServerSocketChannel server;
  private final InetSocketAddress address;
  private final Selector selector;
  private final SelectionKey serverKey;
  private final Consumer<SelectionKey> onSelected = this::serve;
  private final Thread thread;

  // Links with a request: to be connected, something to send, to be closed.
  private final ConcurrentLinkedQueue<ControlLink> attention = new ConcurrentLinkedQueue<>();

  // Guards the step to closed, so that no link is asked for after the last ones were closed.
  private final Object lifecycle = new Object();
  private volatile boolean closed;

  // The control thread's.
  private final ByteBuffer received = ByteBuffer.allocate(BUFFER_BYTES);
  private final ByteBuffer staging = ByteBuffer.allocateDirect(BUFFER_BYTES);
  private final Set<ControlLink> links = new HashSet<>();
  private final Set<ControlLink> withDeadline = new HashSet<>();
  private final Heartbeats heartbeats;
  private boolean acceptPaused;
  private long acceptAgainAt;

  private ControlChannel(
      ServerSocketChannel server, Selector selector, Acceptor acceptor, Listener listener)
      throws IOException {
    this.server = server;
    this.selector = selector;
    this.acceptor = acceptor;
    this.listener = listener;
    address = (InetSocketAddress) server.getLocalAddress();
    server.configureBlocking(false);
    serverKey = server.register(selector, SelectionKey.OP_ACCEPT);
    heartbeats = new Heartbeats(selector, new WatchedLinks());
    thread = new Thread(this::run, "p2p-control-" + address.getPort());
    thread.setDaemon(true);
  }

  /**
   * Listens and starts the control thread.
   *
   * @param bind the only address that is listened on
   * @param port 0 for any free one
   * @throws ConfigurationException if address or port cannot be listened on
   */
  static ControlChannel open(InetAddress bind, int port, Listener listener) {
    return open(bind, port, listener, ServerSocketChannel::accept);
  }

  /** With another way to accept. */
  static ControlChannel open(InetAddress bind, int port, Listener listener, Acceptor acceptor) {
    ControlChannel channel = create(new InetSocketAddress(bind, port), listener, acceptor);
    channel.thread.start();
    return channel;
  }

  private static ControlChannel create(
      InetSocketAddress local, Listener listener, Acceptor acceptor) {
    ServerSocketChannel server = null;
    Selector selector = null;
    try {
      server = ServerSocketChannel.open();
      listen(server, local);
      selector = Selector.open();
      return new ControlChannel(server, selector, acceptor, listener);
    } catch (IOException e) {
      closeQuietly(server);
      closeQuietly(selector);
      throw new TransportException(
          "the control channel cannot be opened: " + e.getMessage(), FailureDetail.NONE, e);
    } catch (ConfigurationException e) {
      closeQuietly(server);
      throw e;
    }
  }

  private static void listen(ServerSocketChannel server, InetSocketAddress local)
      throws IOException {
    try {
      server.bind(local, BACKLOG);
    } catch (BindException e) {
      throw new ConfigurationException(
          "the control channel cannot listen on " + text(local) + ": " + e.getMessage(),
          FailureDetail.remedy(
              "Set UCCL_P2P_CONTROL_PORT to a free port, or to 0 for any, and UCCL_SOCKET_IFNAME"
                  + " to an interface that is up"),
          e);
    }
  }

  /** Where it listens. */
  InetSocketAddress address() {
    return address;
  }

  /**
   * Starts to connect and returns at once. Whether that worked comes back as {@link
   * Listener#onConnected} or {@link Listener#onClosed}; how long it may take is up to the caller,
   * who closes the link when it took too long.
   *
   * @throws ResourceClosedException if the channel is closed
   */
  ControlLink connect(InetSocketAddress peer) {
    return connect(peer, link -> null);
  }

  /**
   * The same, with something attached before the listener hears of the link.
   *
   * @param attachment makes it, on the calling thread
   */
  ControlLink connect(InetSocketAddress peer, Function<ControlLink, @Nullable Object> attachment) {
    ControlLink link = new ControlLink(this, peer, true);
    link.attach(attachment.apply(link));
    synchronized (lifecycle) {
      if (closed) {
        throw new ResourceClosedException("the control channel is closed", FailureDetail.NONE);
      }
      attend(link);
    }
    return link;
  }

  /**
   * Closes the listening socket and all links, tells the listener so, and ends the thread. What a
   * link has queued is sent as far as the kernel takes it at once. Idempotent; when it returns, the
   * listener is not called any more. An interrupt does not end the wait and is kept.
   *
   * @throws IllegalStateException if called by the listener, on the control thread
   */
  @Override
  public void close() {
    if (Thread.currentThread() == thread) {
      throw new IllegalStateException("the control channel cannot be closed by its own thread");
    }
    stop();
    selector.wakeup();
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void stop() {
    synchronized (lifecycle) {
      closed = true;
    }
  }

  /** Has the control thread look at a link's request. Any thread. */
  void attend(ControlLink link) {
    if (link.askForAttention()) {
      attention.add(link);
      if (Thread.currentThread() != thread) {
        selector.wakeup();
      }
    }
  }

  // -- all below: the control thread

  private void run() {
    try {
      while (!closed) {
        // A listener may have left the flag set; with it, select would not block any more.
        Thread.interrupted();
        select();
        serveRequests();
        serveDeadlines();
      }
    } catch (Throwable t) {
      log.error("the control channel on {} fails and closes", text(address), t);
    } finally {
      shutDown();
    }
  }

  /** Waits for keys that are ready, or something else to do, and serves the keys. */
  private void select() throws IOException {
    if (!attention.isEmpty()) {
      selector.selectNow(onSelected);
      return;
    }
    long now = System.nanoTime();
    long nanos = heartbeats.nanosLeft(now);
    if (!withDeadline.isEmpty()) {
      for (ControlLink link : withDeadline) {
        nanos = Math.min(nanos, link.deadline - now);
      }
    }
    if (acceptPaused) {
      nanos = Math.min(nanos, acceptAgainAt - now);
    }
    if (nanos == Long.MAX_VALUE) {
      selector.select(onSelected);
    } else if (nanos <= 0) {
      selector.selectNow(onSelected);
    } else {
      selector.select(onSelected, TimeUnit.NANOSECONDS.toMillis(nanos) + 1);
    }
  }

  private void serveRequests() {
    for (int i = 0; i < REQUESTS_PER_ROUND; i++) {
      ControlLink link = attention.poll();
      if (link == null) {
        return;
      }
      link.attentionGiven();
      try {
        serveRequest(link);
      } catch (Throwable t) {
        failed(link, t);
      }
    }
  }

  private void serveRequest(ControlLink link) {
    if (link.stage == Stage.CLOSED) {
      return;
    }
    Closing closing = link.closing();
    if (closing == Closing.NOW) {
      finish(link, null);
      return;
    }
    if (closing == Closing.AFTER_SENDING && withDeadline.add(link)) {
      link.deadline = System.nanoTime() + SENDING_NANOS;
    }
    if (link.stage == Stage.NEW) {
      startConnecting(link);
    } else if (link.stage == Stage.OPEN) {
      InetSocketAddress control = link.watchedAt();
      if (control != null) {
        heartbeats.watch(link, control, System.nanoTime());
      }
      write(link);
    }
  }

  private void serve(SelectionKey key) {
    if (key == serverKey) {
      accept();
    } else if (key.isValid() && key.attachment() instanceof Heartbeats.Watched watched) {
      try {
        heartbeats.serve(watched, System.nanoTime());
      } catch (RuntimeException | Error e) {
        failed(watched.link, e);
      }
    } else if (key.isValid()) {
      ControlLink link = (ControlLink) Objects.requireNonNull(key.attachment());
      try {
        serve(link, key);
      } catch (Throwable t) {
        failed(link, t);
      }
    }
  }

  /** What fails in a way that is not foreseen, for want of memory say, costs one link. */
  private void failed(ControlLink link, Throwable cause) {
    log.error("{} fails and is closed", link, cause);
    finish(link, new IOException("internal failure: " + cause, cause));
  }

  private void serve(ControlLink link, SelectionKey key) {
    if (link.stage == Stage.CONNECTING) {
      finishConnecting(link);
      return;
    }
    if (key.isReadable()) {
      read(link);
    }
    if (link.stage == Stage.OPEN && key.isWritable()) {
      write(link);
    }
  }

  private void serveDeadlines() {
    long now = System.nanoTime();
    heartbeats.serve(now);
    if (acceptPaused && acceptAgainAt - now <= 0) {
      resumeAccepting();
    }
    if (withDeadline.isEmpty()) {
      return;
    }
    for (ControlLink link : List.copyOf(withDeadline)) {
      if (link.deadline - now <= 0) {
        finish(
            link,
            link.stage == Stage.DRAINING
                ? null
                : new SocketTimeoutException(
                    "the peer did not take the last "
                        + link.queuedBytes()
                        + " bytes within "
                        + SENDING_SECONDS
                        + " s"));
      }
    }
  }

  // -- accepting

  private void accept() {
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
      SocketChannel socket;
      try {
        socket = acceptor.accept(server);
      } catch (IOException | OutOfMemoryError e) {
        // Mostly: no file descriptor is left. The socket stays ready, so going on would spin.
        log.warn(
            "no connection can be accepted on {}, accepting pauses: {}",
            text(address),
            e.getMessage());
        acceptPaused = true;
        acceptAgainAt = System.nanoTime() + ACCEPT_PAUSE_NANOS;
        serverKey.interestOps(0);
        return;
      }
      if (socket == null) {
        return;
      }
      accepted(socket);
    }
  }

  private void accepted(SocketChannel socket) {
    ControlLink link;
    try {
      configure(socket);
      link = new ControlLink(this, (InetSocketAddress) socket.getRemoteAddress(), false);
      link.socket = socket;
      link.key = socket.register(selector, SelectionKey.OP_READ, link);
    } catch (IOException | RuntimeException | OutOfMemoryError e) {
      log.debug("a connection ended before it was accepted: {}", e.toString());
      closeQuietly(socket);
      return;
    }
    links.add(link);
    link.stage = Stage.OPEN;
    tell(link, l -> l.onAccepted(link));
  }

  private void resumeAccepting() {
    acceptPaused = false;
    serverKey.interestOps(SelectionKey.OP_ACCEPT);
  }

  // -- connecting

  private void startConnecting(ControlLink link) {
    links.add(link);
    try {
      SocketChannel socket = connectedSocket(link.remote());
      link.socket = socket;
      link.stage = Stage.CONNECTING;
      link.key = socket.register(selector, SelectionKey.OP_CONNECT, link);
      if (socket.isConnected()) {
        connected(link);
      }
    } catch (IOException e) {
      finish(link, e);
    } catch (RuntimeException e) {
      // An unresolved or unsupported address.
      finish(link, new IOException("no connection to " + link.remote() + " is possible: " + e, e));
    }
  }

  /** A socket that is connecting or connected, bound to the advertised address where that works. */
  private SocketChannel connectedSocket(InetSocketAddress peer) throws IOException {
    if (mayBindFor(peer)) {
      try {
        return connectedSocket(peer, new InetSocketAddress(address.getAddress(), 0));
      } catch (IOException e) {
        log.debug("not binding a connection to {}: {}", peer, e.getMessage());
      }
    }
    return connectedSocket(peer, null);
  }

  private static SocketChannel connectedSocket(
      InetSocketAddress peer, @Nullable InetSocketAddress local) throws IOException {
    SocketChannel socket = SocketChannel.open();
    try {
      configure(socket);
      if (local != null) {
        socket.bind(local);
      }
      socket.connect(peer);
      return socket;
    } catch (IOException | RuntimeException e) {
      closeQuietly(socket);
      throw e;
    }
  }

  /** Loopback reaches only loopback, and the two versions of IP do not reach each other. */
  private boolean mayBindFor(InetSocketAddress peer) {
    InetAddress own = address.getAddress();
    InetAddress other = peer.getAddress();
    return other != null
        && !own.isAnyLocalAddress()
        && own.isLoopbackAddress() == other.isLoopbackAddress()
        && own.getClass() == other.getClass();
  }

  private void finishConnecting(ControlLink link) {
    try {
      SocketChannel socket = Objects.requireNonNull(link.socket);
      if (socket.finishConnect()) {
        connected(link);
      }
    } catch (IOException e) {
      finish(link, e);
    }
  }

  private void connected(ControlLink link) throws IOException {
    SocketChannel socket = Objects.requireNonNull(link.socket);
    if (socket.getLocalAddress().equals(socket.getRemoteAddress())) {
      // TCP lets a socket connect to itself when its own port is the one that nobody listens on.
      throw new ConnectException("Connection refused");
    }
    link.stage = Stage.OPEN;
    Objects.requireNonNull(link.key).interestOps(SelectionKey.OP_READ);
    if (tell(link, l -> l.onConnected(link)) && link.stage == Stage.OPEN) {
      // What was queued while it was connecting asked for attention then, and got it too early.
      write(link);
    }
  }

  private static void configure(SocketChannel socket) throws IOException {
    socket.configureBlocking(false);
    socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
    socket.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
    socket.setOption(ExtendedSocketOptions.TCP_KEEPIDLE, KEEP_ALIVE_IDLE_SECONDS);
    socket.setOption(ExtendedSocketOptions.TCP_KEEPINTERVAL, KEEP_ALIVE_INTERVAL_SECONDS);
    socket.setOption(ExtendedSocketOptions.TCP_KEEPCOUNT, KEEP_ALIVE_COUNT);
  }

  // -- reading and writing

  private void read(ControlLink link) {
    try {
      SocketChannel socket = Objects.requireNonNull(link.socket);
      for (int i = 0;
          i < BUFFERS_PER_ROUND && link.stage != Stage.CLOSED && !link.isReadingPaused();
          i++) {
        received.clear();
        int count = socket.read(received);
        if (count < 0) {
          finish(link, link.closing() == Closing.NOT ? endOf(link) : null);
          return;
        }
        received.flip();
        if (count > 0) {
          heartbeats.heard(link, System.nanoTime());
        }
        deliver(link);
        if (count < BUFFER_BYTES) {
          return;
        }
      }
    } catch (IOException e) {
      finish(link, e);
    }
  }

  private void deliver(ControlLink link) throws IOException {
    while (link.closing() == Closing.NOT) {
      // Where heartbeats are due, that bytes came is all they say, and it was noted.
      if (link.watched != null && link.assembler.skip(HEARTBEAT, received)) {
        continue;
      }
      ByteBuffer payload = link.assembler.next(received);
      if (payload == null || !tell(link, l -> l.onFrame(link, payload))) {
        return;
      }
    }
  }

  private static EOFException endOf(ControlLink link) {
    return new EOFException(
        link.assembler.isMidFrame()
            ? "the peer closed the connection in the middle of a frame, after "
                + link.assembler.progress()
            : "the peer closed the connection");
  }

  private void write(ControlLink link) {
    try {
      SocketChannel socket = Objects.requireNonNull(link.socket);
      for (int i = 0; i < BUFFERS_PER_ROUND && link.hasQueued(); i++) {
        // Staged, because the JDK would copy the whole rest of a heap buffer at every attempt.
        staging.clear();
        link.copyQueued(staging);
        staging.flip();
        link.sent(socket.write(staging));
        if (staging.hasRemaining()) {
          break;
        }
      }
      boolean more = link.hasQueued();
      Objects.requireNonNull(link.key)
          .interestOps(
              (link.isReadingPaused() ? 0 : SelectionKey.OP_READ)
                  | (more ? SelectionKey.OP_WRITE : 0));
      if (!more && link.closing() == Closing.AFTER_SENDING) {
        // Closing now would reset the connection if anything is unread here, and the peer would
        // lose what it has not read yet. So say that this was all, and wait for the peer to close.
        socket.shutdownOutput();
        link.stage = Stage.DRAINING;
        link.deadline = System.nanoTime() + DRAINING_NANOS;
        withDeadline.add(link);
      }
    } catch (IOException e) {
      // The peer is gone, but what it said before it went may still be here to be read.
      read(link);
      finish(link, e);
    }
  }

  private final class WatchedLinks implements Heartbeats.Links {
    @Override
    public void sendHeartbeat(ControlLink link) {
      link.queueHeartbeat();
      write(link);
    }

    @Override
    public void failed(ControlLink link, Throwable cause) {
      ControlChannel.this.failed(link, cause);
    }

    @Override
    public void onPeerState(ControlLink link, PeerState state) {
      tell(link, l -> l.onPeerState(link, state));
    }

    @Override
    public void onLost(ControlLink link, IOException cause) {
      finish(link, cause);
    }
  }

  // -- closing

  /** Calls the listener; if that throws, closes the link and returns false. */
  private boolean tell(ControlLink link, Consumer<Listener> call) {
    try {
      call.accept(listener);
      return true;
    } catch (Throwable t) {
      log.error("the listener failed, {} is closed", link, t);
      finish(link, new IOException("the listener failed: " + t, t));
      return false;
    }
  }

  private void finish(ControlLink link, @Nullable IOException cause) {
    if (link.stage == Stage.CLOSED) {
      return;
    }
    link.stage = Stage.CLOSED;
    link.close();
    links.remove(link);
    withDeadline.remove(link);
    heartbeats.forget(link);
    closeQuietly(link.socket);
    link.assembler.clear();
    if (acceptPaused && !closed) {
      resumeAccepting();
    }
    try {
      listener.onClosed(link, cause);
    } catch (Throwable t) {
      log.error("the listener failed when told that {} is closed", link, t);
    }
  }

  private void shutDown() {
    stop();
    closeQuietly(server);
    for (ControlLink link : new ArrayList<>(links)) {
      if (link.stage == Stage.OPEN && link.closing() != Closing.NOW) {
        write(link);
      }
      finish(link, null);
    }
    for (ControlLink link = attention.poll(); link != null; link = attention.poll()) {
      finish(link, null);
    }
    closeQuietly(selector);
  }

  private static void closeQuietly(@Nullable AutoCloseable resource) {
    if (resource != null) {
      try {
        resource.close();
      } catch (Exception e) {
        log.debug("closing failed: {}", e.toString());
      }
    }
  }

  private static String text(InetSocketAddress socketAddress) {
    String host = socketAddress.getAddress().getHostAddress();
    return (host.contains(":") ? "[" + host + "]" : host) + ":" + socketAddress.getPort();
  }
}
