package io.uccl.p2p;

import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * What an engine is opened with: a snapshot of the environment, and values that beat it.
 *
 * <p>Immutable; each {@code with} method returns a changed copy. Values are checked when the engine
 * is opened, except where a method says otherwise.
 */
public final class EngineConfig {

  private static final Duration DEFAULT_STALL = Duration.ofSeconds(30);
  private static final int DEFAULT_QUEUED = 1 << 20;
  private static final long DEFAULT_MAX_OPERATION = Long.MAX_VALUE;

  private final Map<String, String> environment;
  private final Optional<String> transport;
  private final Duration stallDeadline;
  private final int maxQueuedOperations;
  private final long maxOperationBytes;
  private final int gpuIndex;

  private EngineConfig(
      Map<String, String> environment,
      Optional<String> transport,
      Duration stallDeadline,
      int maxQueuedOperations,
      long maxOperationBytes,
      int gpuIndex) {
    this.environment = environment;
    this.transport = transport;
    this.stallDeadline = stallDeadline;
    this.maxQueuedOperations = maxQueuedOperations;
    this.maxOperationBytes = maxOperationBytes;
    this.gpuIndex = gpuIndex;
  }

  /** The process's environment, nothing else. */
  public static EngineConfig fromEnvironment() {
    return of(System.getenv());
  }

  /**
   * Another environment than the process's own: the way to give two engines in one process
   * different settings.
   *
   * @param environment variables by name; copied
   */
  public static EngineConfig of(Map<String, String> environment) {
    return new EngineConfig(
        Map.copyOf(environment),
        Optional.empty(),
        DEFAULT_STALL,
        DEFAULT_QUEUED,
        DEFAULT_MAX_OPERATION,
        0);
  }

  /** A transport by its name or alias; beats {@code UCCL_P2P_TRANSPORT}. */
  public EngineConfig withTransport(String name) {
    return new EngineConfig(
        environment,
        Optional.of(name),
        stallDeadline,
        maxQueuedOperations,
        maxOperationBytes,
        gpuIndex);
  }

  /**
   * How long an operation without an explicit deadline may go without progress; 30 s by default.
   * Progress of its connection counts; but where nothing else can end it, as on cxi, not that of
   * operations that came after it.
   *
   * @throws IllegalArgumentException if not positive
   */
  public EngineConfig withStallDeadline(Duration value) {
    if (value.isNegative() || value.isZero()) {
      throw new IllegalArgumentException("stall deadline must be positive, but is " + value);
    }
    return new EngineConfig(
        environment,
        transport,
        Objects.requireNonNull(value),
        maxQueuedOperations,
        maxOperationBytes,
        gpuIndex);
  }

  /**
   * How many operations may wait on one connection before a batch meets back-pressure; 1,048,576 by
   * default. A batch is always taken by a connection on which nothing waits.
   *
   * @throws IllegalArgumentException if not positive
   */
  public EngineConfig withMaxQueuedOperations(int value) {
    if (value < 1) {
      throw new IllegalArgumentException("max queued operations must be positive, but is " + value);
    }
    return new EngineConfig(
        environment, transport, stallDeadline, value, maxOperationBytes, gpuIndex);
  }

  /**
   * The most bytes that the engine gives to the transport as one operation; longer ones are cut. By
   * default only the transport's own limit holds. For tests of the cutting.
   *
   * @throws IllegalArgumentException if not positive
   */
  public EngineConfig withMaxOperationBytes(long value) {
    if (value < 1) {
      throw new IllegalArgumentException("max operation bytes must be positive, but is " + value);
    }
    return new EngineConfig(
        environment, transport, stallDeadline, maxQueuedOperations, value, gpuIndex);
  }

  /**
   * The GPU that the engine works for; 0 by default. Where a machine has a NIC near to each GPU,
   * the transport takes that one unless the environment names another; handshakes tell it to peers.
   *
   * @param value its number, from 0 on
   * @throws IllegalArgumentException if negative
   */
  public EngineConfig withGpuIndex(int value) {
    if (value < 0) {
      throw new IllegalArgumentException("a GPU's index is 0 or more, but is " + value);
    }
    return new EngineConfig(
        environment, transport, stallDeadline, maxQueuedOperations, maxOperationBytes, value);
  }

  /** The environment's variables. */
  public Map<String, String> environment() {
    return environment;
  }

  /** The transport that was named by {@link #withTransport}. */
  public Optional<String> transport() {
    return transport;
  }

  /** See {@link #withStallDeadline}. */
  public Duration stallDeadline() {
    return stallDeadline;
  }

  /** See {@link #withMaxQueuedOperations}. */
  public int maxQueuedOperations() {
    return maxQueuedOperations;
  }

  /** See {@link #withMaxOperationBytes}. */
  public long maxOperationBytes() {
    return maxOperationBytes;
  }

  /** See {@link #withGpuIndex}. */
  public int gpuIndex() {
    return gpuIndex;
  }
}
