package io.uccl.p2p.conformance;

import io.uccl.p2p.spi.RegisteredMemory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * What engines of this process ask of a transport, behind the back of their callers. An engine is
 * watched if its environment holds {@link #variables}.
 */
final class Watch implements AutoCloseable {

  private static final AtomicInteger LAST = new AtomicInteger();
  private static final Map<Integer, Watch> OPEN = new ConcurrentHashMap<>();

  private final int number = LAST.incrementAndGet();
  private final long maxOperationBytes;
  private final BlockingQueue<Long> posted = new LinkedBlockingQueue<>();
  private final BlockingQueue<RegisteredMemory> registered = new LinkedBlockingQueue<>();

  private Watch(long maxOperationBytes) {
    this.maxOperationBytes = maxOperationBytes;
  }

  static Watch open() {
    return limiting(Long.MAX_VALUE);
  }

  /** Also makes the transport say that it takes no longer operations than these. */
  static Watch limiting(long maxOperationBytes) {
    Watch watch = new Watch(maxOperationBytes);
    OPEN.put(watch.number, watch);
    return watch;
  }

  /** The open one of a number, or null: then nobody looks. */
  static @Nullable Watch numbered(int number) {
    return OPEN.get(number);
  }

  /** What the environment of a watched engine holds beside the transport's own. */
  Map<String, String> variables(String transport) {
    return WatchedTransportProvider.variables(transport, number);
  }

  /** Takes the lengths of the operations that the transport has taken since the last call. */
  List<Long> posted() {
    List<Long> lengths = new ArrayList<>();
    posted.drainTo(lengths);
    return lengths;
  }

  /** Takes the memory that was registered since the last call. */
  List<RegisteredMemory> registered() {
    List<RegisteredMemory> memory = new ArrayList<>();
    registered.drainTo(memory);
    return memory;
  }

  long maxOperationBytes() {
    return maxOperationBytes;
  }

  void sees(RegisteredMemory memory) {
    registered.add(memory);
  }

  void sees(long length) {
    posted.add(length);
  }

  @Override
  public void close() {
    OPEN.remove(number);
  }
}
