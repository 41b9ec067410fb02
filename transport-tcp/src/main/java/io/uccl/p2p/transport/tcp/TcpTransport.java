package io.uccl.p2p.transport.tcp;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportException;
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
import io.uccl.p2p.spi.TransportContext;
import java.io.IOException;
import java.net.BindException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.security.SecureRandom;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The sockets of one engine: its data listener, its data connections and its registered regions.
 */
final class TcpTransport implements Transport {

  private static final TransportCapabilities CAPABILITIES =
      new TransportCapabilities(
          TransportCapabilities.Refusal.PER_OPERATION,
          TransportCapabilities.TargetChecks.ALL,
          TransportCapabilities.Expiry.CLOSES_CHANNEL,
          true,
          Long.MAX_VALUE);

  // With few channels a read that finds nothing is cheaper than asking the selector first.
  private static final int MAX_POLLED_DIRECTLY = 2;
  private static final int SELECT_EVERY = 64;

  // How long a connection that cannot be accepted, mostly for want of a descriptor, waits.
  private static final long PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private final Selector selector;
  private final ServerSocketChannel listener;
  private final InetSocketAddress address;
  private final int maxInflight;
  private final SecureRandom random = new SecureRandom();
  private final TcpMemoryTable memories = new TcpMemoryTable();
  private final List<TcpChannel> channels = new ArrayList<>();
  private final Map<Long, TcpChannel> expected = new HashMap<>();
  private final TcpGreetings greetings = new TcpGreetings();

  /** Channels that have bytes to send or failures to report. */
  private final ArrayDeque<TcpChannel> scheduled = new ArrayDeque<>();

  private final Consumer<SelectionKey> onSelected = this::selected;
  private final Consumer<SelectionKey> onWoken = TcpTransport::leaveToPoll;
  private long acceptAgainAt;
  private boolean acceptPaused;
  private @Nullable CompletionBuffer completions;
  private boolean moved;
  private int untilSelect;
  private volatile boolean woken;
  private boolean closed;

  private TcpTransport(
      Selector selector, ServerSocketChannel listener, InetSocketAddress address, int maxInflight) {
    this.selector = selector;
    this.listener = listener;
    this.address = address;
    this.maxInflight = maxInflight;
  }

  static TcpTransport open(TransportContext context) {
    int port = TcpTransportProvider.DATA_PORT.in(context.environment());
    InetSocketAddress wanted = new InetSocketAddress(context.bindAddress(), port);
    Selector selector = null;
    ServerSocketChannel listener = null;
    try {
      selector = Selector.open();
      listener = ServerSocketChannel.open();
      listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
      listener.bind(wanted, 1024);
      listener.configureBlocking(false);
      listener.register(selector, SelectionKey.OP_ACCEPT);
      return new TcpTransport(
          selector,
          listener,
          (InetSocketAddress) listener.getLocalAddress(),
          context.maxInflightOperations());
    } catch (IOException e) {
      closeQuietly(listener, e);
      closeQuietly(selector, e);
      String where = wanted.getAddress().getHostAddress() + ":" + port;
      if (e instanceof BindException && port != 0) {
        throw new ConfigurationException(
            TcpTransportProvider.DATA_PORT.name() + "=" + port + ": " + where + " cannot be bound",
            FailureDetail.remedy("Free the port, choose another, or unset the variable"),
            e);
      }
      throw new TransportUnavailableException(
          "the tcp transport cannot listen on " + where + ": " + e.getMessage(),
          FailureDetail.remedy("Check the address and the limit of open files"),
          e);
    }
  }

  @Override
  public TransportCapabilities capabilities() {
    return CAPABILITIES;
  }

  @Override
  public RegisteredMemory register(RegionName name, MemorySpan memory) {
    TcpMemory registered = new TcpMemory(this, name, memory, random.nextLong());
    memories.add(registered);
    return registered;
  }

  @Override
  public PendingChannel prepare(ChannelRole role) {
    return new TcpPendingChannel(role, random.nextLong());
  }

  @Override
  public boolean poll(CompletionBuffer into) {
    completions = into;
    moved = false;
    try {
      for (int n = scheduled.size(); n > 0; n--) {
        advance(scheduled.removeFirst(), into);
      }
      receive(into);
      greetings.expire();
      if (acceptPaused && acceptAgainAt - System.nanoTime() <= 0) {
        pauseAccepting(false);
      }
      // What was received may have left something to send: acknowledgements, replies.
      for (int n = scheduled.size(); n > 0; n--) {
        advance(scheduled.removeFirst(), into);
      }
      return moved;
    } finally {
      completions = null;
    }
  }

  @Override
  public void block(long nanos) {
    boolean unfinished = false;
    for (int n = scheduled.size(); n > 0; n--) {
      TcpChannel channel = scheduled.removeFirst();
      if (channel.hasOutput()) {
        channel.awaitOutput(true);
      } else {
        unfinished = true;
      }
      scheduled.addLast(channel);
    }
    for (int i = 0; i < channels.size() && !unfinished; i++) {
      unfinished = channels.get(i).hasStagedInput();
    }
    // What waits for a time of its own is looked at by the next poll.
    long most = acceptPaused || !greetings.isEmpty() ? Math.min(nanos, PAUSE_NANOS) : nanos;
    try {
      if (unfinished || woken) {
        return;
      }
      selector.select(onWoken, Math.max(1, TimeUnit.NANOSECONDS.toMillis(most)));
      untilSelect = 0;
    } catch (IOException e) {
      throw selectorFailed(e);
    } finally {
      woken = false;
      for (int n = scheduled.size(); n > 0; n--) {
        TcpChannel channel = scheduled.removeFirst();
        channel.awaitOutput(false);
        scheduled.addLast(channel);
      }
    }
  }

  @Override
  public void wakeup() {
    // The selector alone would forget it in a selectNow of a poll that comes first.
    woken = true;
    selector.wakeup();
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    for (TcpChannel channel : List.copyOf(channels)) {
      channel.close();
    }
    greetings.close();
    IOException ignored = new IOException("closing");
    closeQuietly(listener, ignored);
    closeQuietly(selector, ignored);
  }

  // -- for channels and regions

  @Nullable TcpMemory memory(int rid) {
    return memories.get(rid);
  }

  void forget(TcpMemory memory) {
    memories.remove(memory);
    for (int i = 0; i < channels.size(); i++) {
      channels.get(i).abandon(memory);
    }
  }

  void schedule(TcpChannel channel) {
    if (!channel.scheduled) {
      channel.scheduled = true;
      scheduled.addLast(channel);
    }
  }

  void disconnect(TcpChannel channel, @Nullable SocketChannel socket) {
    expected.remove(channel.ownCookie());
    closeQuietly(socket, new IOException("closing"));
  }

  // -- inside

  private void advance(TcpChannel channel, CompletionBuffer into) {
    channel.scheduled = false;
    moved |= channel.advance(into);
    if (channel.isOver()) {
      channels.remove(channel);
    } else if (channel.hasOutput() || channel.hasReports()) {
      schedule(channel);
    }
  }

  private void receive(CompletionBuffer into) {
    boolean direct = channels.size() <= MAX_POLLED_DIRECTLY && !needsSelector();
    for (int i = 0; i < channels.size(); i++) {
      TcpChannel channel = channels.get(i);
      if (direct || channel.hasStagedInput()) {
        moved |= channel.receive(into);
      }
    }
    if (direct && --untilSelect > 0) {
      return;
    }
    untilSelect = SELECT_EVERY;
    try {
      selector.selectNow(onSelected);
    } catch (IOException e) {
      throw selectorFailed(e);
    }
  }

  private boolean needsSelector() {
    if (!greetings.isEmpty()) {
      return true;
    }
    for (int i = 0; i < channels.size(); i++) {
      if (channels.get(i).isConnecting()) {
        return true;
      }
    }
    return false;
  }

  private void selected(SelectionKey key) {
    CompletionBuffer into = completions;
    if (into == null || !key.isValid()) {
      return;
    }
    if (key.attachment() instanceof TcpChannel channel) {
      if (key.isConnectable()) {
        finishConnect(channel, key);
      } else {
        moved |= channel.receive(into);
      }
    } else if (key.attachment() instanceof TcpGreetings.Greeting greeting) {
      greet(greeting, key, into);
    } else {
      accept();
    }
  }

  private static void leaveToPoll(SelectionKey key) {
    // Readiness is level-triggered: poll finds it again.
  }

  private void accept() {
    while (true) {
      SocketChannel socket = null;
      try {
        socket = listener.accept();
        if (socket == null) {
          return;
        }
        moved = true;
        socket.configureBlocking(false);
        socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
        socket.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
        greetings.add(socket, socket.register(selector, SelectionKey.OP_READ));
      } catch (IOException e) {
        closeQuietly(socket, e);
        if (socket == null) {
          // The listener stays ready, so going on would spin.
          acceptAgainAt = System.nanoTime() + PAUSE_NANOS;
          pauseAccepting(true);
        }
        return;
      }
    }
  }

  private void pauseAccepting(boolean pause) {
    SelectionKey key = listener.keyFor(selector);
    if (key != null && key.isValid()) {
      acceptPaused = pause;
      key.interestOps(pause ? 0 : SelectionKey.OP_ACCEPT);
    }
  }

  private void greet(TcpGreetings.Greeting greeting, SelectionKey key, CompletionBuffer into) {
    moved = true;
    TcpGreetings.Progress progress = greeting.read();
    if (progress == TcpGreetings.Progress.INCOMPLETE) {
      return;
    }
    greetings.remove(greeting);
    TcpChannel channel =
        progress == TcpGreetings.Progress.COMPLETE ? expected.get(greeting.acceptorCookie()) : null;
    if (channel == null || channel.peerCookie() != greeting.connectorCookie()) {
      greeting.close();
      return;
    }
    expected.remove(channel.ownCookie());
    key.attach(channel);
    channel.attach(greeting.socket(), key, true);
    into.ready(channel);
  }

  private void connect(TcpChannel channel) {
    SocketChannel socket = null;
    try {
      socket = SocketChannel.open();
      socket.configureBlocking(false);
      socket.setOption(StandardSocketOptions.TCP_NODELAY, true);
      socket.setOption(StandardSocketOptions.SO_KEEPALIVE, true);
      SelectionKey key = socket.register(selector, SelectionKey.OP_CONNECT, channel);
      channel.connecting(socket);
      if (socket.connect(channel.peer())) {
        connected(channel, socket, key);
      }
    } catch (IOException | RuntimeException e) {
      // Runtime exceptions: addresses that no socket can be connected to.
      closeQuietly(socket, e);
      channel.endBecause(e);
    }
  }

  private void finishConnect(TcpChannel channel, SelectionKey key) {
    SocketChannel socket = (SocketChannel) key.channel();
    moved = true;
    try {
      if (socket.finishConnect()) {
        connected(channel, socket, key);
      }
    } catch (IOException e) {
      channel.endBecause(e);
    }
  }

  private static void connected(TcpChannel channel, SocketChannel socket, SelectionKey key) {
    key.interestOps(SelectionKey.OP_READ);
    channel.attach(socket, key, false);
  }

  private static IllegalStateException selectorFailed(IOException e) {
    return new IllegalStateException("the selector of the tcp transport failed", e);
  }

  static void closeQuietly(@Nullable AutoCloseable resource, Exception context) {
    if (resource != null) {
      try {
        resource.close();
      } catch (Exception e) {
        context.addSuppressed(e);
      }
    }
  }

  /** The two sides differ in who dials: the connector does, to the acceptor's listener. */
  private final class TcpPendingChannel implements PendingChannel {

    private final ChannelRole role;
    private final long cookie;
    private boolean used;

    TcpPendingChannel(ChannelRole role, long cookie) {
      this.role = role;
      this.cookie = cookie;
    }

    @Override
    public byte[] parameters() {
      return new TcpParameters(address, cookie).encode();
    }

    @Override
    public Channel complete(byte[] remote) {
      if (used || closed) {
        throw new TransportException(
            "a channel was completed twice, or after abort", FailureDetail.NONE);
      }
      used = true;
      TcpParameters peer = TcpParameters.decode(remote);
      TcpChannel channel;
      try {
        channel =
            new TcpChannel(TcpTransport.this, peer.listener(), cookie, peer.cookie(), maxInflight);
      } catch (OutOfMemoryError e) {
        // Its buffers are off-heap: whoever makes connections without end meets that limit first.
        throw new TransportException(
            "there is no memory for another channel: " + e.getMessage(),
            FailureDetail.remedy(TcpChannel.MEMORY_REMEDY).withTransport(TcpTransportProvider.NAME),
            e);
      }
      channels.add(channel);
      if (role == ChannelRole.CONNECTOR) {
        connect(channel);
      } else {
        expected.put(cookie, channel);
      }
      return channel;
    }

    @Override
    public void abort() {
      used = true;
    }
  }
}
