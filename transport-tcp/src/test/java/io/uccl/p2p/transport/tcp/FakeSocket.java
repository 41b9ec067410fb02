package io.uccl.p2p.transport.tcp;

import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketOption;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.channels.spi.SelectorProvider;
import java.util.Set;

/** A socket whose incoming bytes a test puts in, and whose outgoing bytes go nowhere. */
final class FakeSocket extends SocketChannel {

  private ByteBuffer incoming = ByteBuffer.allocate(0);
  private long room;

  FakeSocket() {
    super(SelectorProvider.provider());
  }

  /** What the next reads get. */
  void arrive(ByteBuffer bytes) {
    incoming = bytes;
  }

  /** How many bytes the next writes may take. */
  void room(long bytes) {
    room = bytes;
  }

  @Override
  public int read(ByteBuffer to) {
    int count = Math.min(to.remaining(), incoming.remaining());
    to.put(incoming.slice(incoming.position(), count));
    incoming.position(incoming.position() + count);
    return count;
  }

  @Override
  public long read(ByteBuffer[] to, int first, int count) {
    long total = 0;
    for (int i = first; i < first + count; i++) {
      total += read(to[i]);
    }
    return total;
  }

  @Override
  public int write(ByteBuffer from) {
    int count = (int) Math.min(from.remaining(), room);
    from.position(from.position() + count);
    room -= count;
    return count;
  }

  @Override
  public long write(ByteBuffer[] from, int first, int count) {
    long total = 0;
    for (int i = first; i < first + count; i++) {
      total += write(from[i]);
    }
    return total;
  }

  @Override
  protected void implCloseSelectableChannel() {}

  @Override
  protected void implConfigureBlocking(boolean block) {}

  @Override
  public SocketChannel bind(SocketAddress local) {
    throw new UnsupportedOperationException();
  }

  @Override
  public <T> SocketChannel setOption(SocketOption<T> name, T value) {
    throw new UnsupportedOperationException();
  }

  @Override
  public <T> T getOption(SocketOption<T> name) {
    throw new UnsupportedOperationException();
  }

  @Override
  public Set<SocketOption<?>> supportedOptions() {
    return Set.of();
  }

  @Override
  public SocketChannel shutdownInput() {
    throw new UnsupportedOperationException();
  }

  @Override
  public SocketChannel shutdownOutput() {
    throw new UnsupportedOperationException();
  }

  @Override
  public Socket socket() {
    throw new UnsupportedOperationException();
  }

  @Override
  public boolean isConnected() {
    return true;
  }

  @Override
  public boolean isConnectionPending() {
    return false;
  }

  @Override
  public boolean connect(SocketAddress remote) {
    throw new UnsupportedOperationException();
  }

  @Override
  public boolean finishConnect() {
    return true;
  }

  @Override
  public SocketAddress getRemoteAddress() {
    return null;
  }

  @Override
  public SocketAddress getLocalAddress() {
    return null;
  }
}
