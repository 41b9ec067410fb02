package io.uccl.p2p;

import java.time.Duration;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The way to one peer: one-sided reads and writes of the peer's advertised memory, and
 * notifications.
 *
 * <p><b>Order.</b> Operations are not ordered among each other. To read what was written, wait for
 * the write first. A notification that is sent after a transfer was observed complete arrives after
 * that transfer's bytes are in place.
 *
 * <p><b>Threads.</b> Every method may be called from any thread.
 *
 * <p><b>C++ peers.</b> On a transport that shares the handshake of the C++ UCCL P2P engine, which
 * is cxi, the peer may be one of its processes. It gets nothing but handshakes and notifications.
 * So it is not told that a region closes, it acknowledges no notification, and notifications come
 * at most once, in order for each of its sockets. When a control connection with it ends, the peer
 * counts as lost.
 *
 * <p><b>Failure.</b> When the peer or the way to it fails, everything in flight fails with the
 * first cause, within a second, and so does everything posted later. A new {@link
 * P2pEngine#connect} starts afresh.
 */
public interface Connection extends AutoCloseable {

  /**
   * The peer's metadata: as given to {@code connect}, or as the peer told it when it connected. Of
   * a C++ peer that connected it is the address that it came from, and its control port, which is 0
   * if it named none.
   */
  EndpointMetadata remote();

  /** True until the connection failed or was closed. */
  boolean isOpen();

  /** Why the connection is no longer open, or null while it is. */
  @Nullable P2pException failure();

  /**
   * Writes a whole advertised range: {@code remote.length()} bytes from {@code localOffset} on.
   *
   * @see #write(MemoryRegion, long, FifoDescriptor, long, long)
   */
  default Transfer write(MemoryRegion local, long localOffset, FifoDescriptor remote) {
    return write(local, localOffset, remote, 0, remote.length());
  }

  /**
   * Reads a whole advertised range: {@code remote.length()} bytes to {@code localOffset} on.
   *
   * @see #read(MemoryRegion, long, FifoDescriptor, long, long)
   */
  default Transfer read(MemoryRegion local, long localOffset, FifoDescriptor remote) {
    return read(local, localOffset, remote, 0, remote.length());
  }

  /**
   * Starts to write local bytes into the peer's memory. The transfer is done when the bytes are in
   * place there.
   *
   * <p>The call does not block. It allocates the returned object; the way that allocates nothing is
   * {@link #newBatch}.
   *
   * @param local the source, a region of the same engine; its bytes must not change until the
   *     transfer ends
   * @param localOffset first byte in {@code local}
   * @param remote what the peer advertised
   * @param remoteOffset first byte in the advertised range
   * @param length bytes, 0 and more
   * @throws IndexOutOfBoundsException if either range does not fit
   * @throws RemoteAccessException if the descriptor was made by an earlier life of the peer; those
   *     of a C++ peer do not say by which
   * @throws ResourceClosedException if {@code local} is closed
   */
  Transfer write(
      MemoryRegion local, long localOffset, FifoDescriptor remote, long remoteOffset, long length);

  /**
   * Starts to read the peer's memory into local memory. The transfer is done when the bytes are in
   * {@code local}.
   *
   * @see #write(MemoryRegion, long, FifoDescriptor, long, long) for parameters and errors
   */
  Transfer read(
      MemoryRegion local, long localOffset, FifoDescriptor remote, long remoteOffset, long length);

  /**
   * Makes a batch: filled once, posted as often as wanted, without allocating.
   *
   * @param capacity operations it can hold, 1 to 1,048,576; each takes 128 bytes off-heap
   */
  TransferBatch newBatch(int capacity);

  /**
   * Queues a notification for the peer and returns. It keeps the order of calls: behind {@link
   * #sendAfter} it may wait until whoever drives the transport has come to that one.
   *
   * <p>To a JVM peer a notification of more than 256 KiB travels in pieces, so that heartbeats and
   * the like do not wait behind it. A C++ peer that connected gets its notifications on a
   * connection that this engine dials to its control port.
   *
   * @return {@link PostResult#BACK_PRESSURED} if more than {@link Notification#MAX_FRAME_BYTES}
   *     bytes, and 128 for each notification, are not confirmed by this peer, see {@link
   *     #flushNotifications}; the notification was not taken then
   * @throws IllegalArgumentException if it is too large for one frame
   * @throws P2pException the connection's {@link #failure()}, if it is not open; a {@link
   *     PeerLostException} if that is only about to be noticed
   * @throws PeerUnreachableException if the control port of a C++ peer that connected cannot be
   *     dialled, or it has none; transfers work all the same
   */
  PostResult sendNotification(Notification notification);

  /**
   * Queues a notification that is sent once a transfer of this connection has ended well. If the
   * transfer fails the notification is dropped: the peer is not told of what is not there. While it
   * is held back it counts as one that is not confirmed.
   *
   * @param transfer posted on this connection
   * @return as {@link #sendNotification}
   * @throws IllegalArgumentException if the transfer is another connection's, or was not posted
   * @throws P2pException the connection's {@link #failure()}, if it is not open
   */
  PostResult sendAfter(Transfer transfer, Notification notification);

  /**
   * Waits until all notifications that were sent on this connection before the call are confirmed.
   * A JVM peer confirms a notification when it is where the peer's {@link
   * P2pEngine#takeNotification} finds it; from a C++ peer no confirmation comes, and the wait is
   * for the kernel of this side having taken the bytes. Call it before {@link #close()}, which
   * drops what is not sent yet. A notification that {@link #sendAfter} holds back does not count
   * until its transfer has ended.
   *
   * @return true if all are confirmed; false if the time was over before, and the notifications are
   *     still on their way
   * @throws InterruptedException if interrupted; the notifications are still on their way
   * @throws P2pException the connection's {@link #failure()}, if it ended before all were confirmed
   */
  boolean flushNotifications(Duration timeout) throws InterruptedException;

  /** How the peer is doing now. */
  PeerState peerState();

  /**
   * Asks to be told of each change of {@link #peerState()}, in order, on the engine's thread for
   * callbacks; other callbacks of the engine wait for it. If the state is another than {@link
   * PeerState#CONNECTED} when this is called, that state comes first. {@link PeerState#LOST} or
   * {@link PeerState#CLOSED} is the last, and is told before {@link #onClosed} is.
   */
  void onPeerState(Consumer<? super PeerState> listener);

  /**
   * Asks to be told when the connection is no longer open, and why. Each listener is called exactly
   * once, on a thread of the engine's for callbacks, also if the connection has ended already. It
   * may close anything and may block; other callbacks of the engine wait for it.
   */
  void onClosed(Consumer<? super P2pException> listener);

  /**
   * Closes the connection. What is in flight fails with {@link ResourceClosedException}, within a
   * second. Idempotent.
   */
  @Override
  void close();
}
