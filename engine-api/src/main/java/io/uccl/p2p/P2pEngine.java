package io.uccl.p2p;

import io.uccl.p2p.spi.EngineProvider;
import java.nio.ByteBuffer;
import java.time.Duration;
import org.jspecify.annotations.Nullable;

/**
 * One endpoint of point-to-point transfers: it owns registered memory, connections to peers and the
 * one transport that carries their data.
 *
 * <p><b>Threads.</b> Every method may be called from any thread. The engine has three daemon
 * threads of its own: for progress of the data, for the control channel, and for giving back what
 * was closed. A fourth is there while callbacks run. A thread that waits for a transfer drives the
 * transport itself while it waits.
 *
 * <p><b>Ownership.</b> The engine owns what it hands out. {@link #close()} closes connections,
 * regions and batches that are still open.
 *
 * <p><b>Several engines</b> in one process, each on a transport of its own, share nothing.
 */
public interface P2pEngine extends AutoCloseable {

  /**
   * Opens an engine as the process's environment says.
   *
   * @throws ConfigurationException if a variable holds a value that cannot be used, or a name under
   *     {@code UCCL_P2P_}, {@code UCCL_CXI_} or {@code UCCL_TCP_} is not known
   * @throws TransportUnavailableException if the chosen transport cannot work on this machine
   */
  static P2pEngine open() {
    return open(EngineConfig.fromEnvironment());
  }

  /**
   * Opens an engine.
   *
   * @param config what to use, see {@link EngineConfig}
   * @throws ConfigurationException as in {@link #open()}
   * @throws TransportUnavailableException as in {@link #open()}
   */
  static P2pEngine open(EngineConfig config) {
    return EngineProvider.load().open(config);
  }

  /** What another process needs to {@link #connect}: hand its bytes over by any means. */
  EndpointMetadata metadata();

  /** The transport in use, why it was chosen, and what else was found. */
  TransportChoice transport();

  /** Allocates memory that peers may read and write, see {@link #allocate(long, RegionAccess)}. */
  default MemoryRegion allocate(long length) {
    return allocate(length, RegionAccess.REMOTE_READ_WRITE);
  }

  /**
   * Allocates page-aligned, zeroed off-heap memory and registers it.
   *
   * @param length bytes, 1 and more; not limited to 2 GiB
   * @param access what peers may do with it
   * @throws RegistrationException if the memory or its registration cannot be had, or the native
   *     memory library is missing (the text says why, and what still works)
   */
  MemoryRegion allocate(long length, RegionAccess access);

  /**
   * Registers a buffer that peers may read and write, see {@link #register(ByteBuffer,
   * RegionAccess)}.
   */
  default MemoryRegion register(ByteBuffer buffer) {
    return register(buffer, RegionAccess.REMOTE_READ_WRITE);
  }

  /**
   * Registers a direct buffer: its bytes from 0 to its capacity, whatever its position and limit.
   *
   * <p>The buffer stays the caller's. The region keeps it reachable until the region is closed.
   *
   * @param access what peers may do with it
   * @throws IllegalArgumentException if the buffer is not direct, is read-only or is empty
   * @throws RegistrationException if the transport cannot register it
   */
  MemoryRegion register(ByteBuffer buffer, RegionAccess access);

  /**
   * Registers memory that the caller owns, by its address.
   *
   * <p>The caller promises that the range is mapped, readable and writable until the region's close
   * has returned. This cannot be checked.
   *
   * <p>Memory of a GPU, such as {@code cuMemAlloc} gives it, is registered in the same way: where
   * CUDA's driver is loaded in this process, it is asked whose the address is, and the region's
   * {@link MemoryRegion#kind()} says it. The application orders its kernels and copies before
   * transfers and after them; the engine knows nothing of streams.
   *
   * @param address first byte, a virtual address in this process
   * @param length bytes, 1 and more
   * @param access what peers may do with it
   * @throws IllegalArgumentException if no process can have this range
   * @throws RegistrationException if the transport cannot register it, as tcp cannot a GPU's
   *     memory; if the range is CUDA's managed memory, which moves, or is only in part a GPU's; or
   *     if the native memory library is missing
   */
  MemoryRegion register(long address, long length, RegionAccess access);

  /**
   * Connects to a peer and returns once both sides can post.
   *
   * <p>A C++ peer must have registered its first memory before: a handshake that it gets earlier
   * makes it deaf for ever.
   *
   * @param peer where the peer is, from its {@link #metadata()}
   * @param timeout covers everything: socket, handshake, data channel
   * @throws PeerUnreachableException if nothing answers there in time
   * @throws HandshakeException if something answers that is not a peer of this transport, or the
   *     data channel does not come about
   * @throws TransportException if the transport can make no more channels, or its port is down
   * @throws InterruptedException if interrupted; the attempt is taken back
   */
  Connection connect(EndpointMetadata peer, Duration timeout) throws InterruptedException;

  /**
   * Takes the next incoming connection, waiting for one. A C++ process that connects twice makes
   * two connections.
   *
   * @return the connection, or null if none came within the timeout
   * @throws IllegalStateException after {@link #passiveAccept}
   * @throws ResourceClosedException if the engine is closed, also while this waits
   * @throws TransportException if the transport broke, also while this waits
   * @throws InterruptedException if interrupted; no connection is lost by it
   */
  @Nullable Connection accept(Duration timeout) throws InterruptedException;

  /**
   * From now on takes incoming connections in the background: they do not wait for {@link #accept},
   * and {@link #addPeer} finds them. Those that wait for {@code accept} already become peers too.
   * Idempotent.
   */
  void passiveAccept();

  /**
   * Connects to a peer, or returns the open connection that is there already: made by an earlier
   * {@code addPeer}, or by the peer and taken by {@link #passiveAccept}. Threads that add one peer
   * at the same time get one connection; so do two engines that add each other at the same moment,
   * if both have called {@link #passiveAccept}. Connections that are made by {@link #connect} are
   * never merged: whoever asks for each gets each.
   *
   * @param peer where the peer is, from its {@link #metadata()}
   * @param timeout as for {@link #connect}
   * @throws PeerUnreachableException as for {@link #connect}
   * @throws HandshakeException as for {@link #connect}
   * @throws InterruptedException as for {@link #connect}
   */
  Connection addPeer(EndpointMetadata peer, Duration timeout) throws InterruptedException;

  /**
   * Closes the connection that {@link #addPeer} or {@link #passiveAccept} keeps for a peer.
   *
   * @return false if there is none
   */
  boolean removePeer(EndpointMetadata peer);

  /**
   * Takes the next notification that any peer sent, waiting for one.
   *
   * @return the notification and who sent it, or null if none came within the timeout
   * @throws ResourceClosedException if the engine is closed, also while this waits
   * @throws TransportException if the transport broke, also while this waits
   * @throws InterruptedException if interrupted; no notification is lost by it
   */
  @Nullable ReceivedNotification takeNotification(Duration timeout) throws InterruptedException;

  /**
   * Takes the next notification if one is there, else returns null at once.
   *
   * @throws ResourceClosedException if the engine is closed
   * @throws TransportException if the transport broke
   */
  @Nullable ReceivedNotification pollNotification();

  /**
   * Closes every connection and region, the transport and the engine's threads, within a second.
   * What the network takes longer to let go of is given back in the background: until then the
   * {@link Transfer#buffer()} of transfers that it had is in use. Idempotent: a second call, by
   * whatever thread, returns when the first has closed all of it. A callback may call it too;
   * callbacks that are due still run.
   */
  @Override
  void close();
}
