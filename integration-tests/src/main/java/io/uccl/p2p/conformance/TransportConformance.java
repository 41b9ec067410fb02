package io.uccl.p2p.conformance;

import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.spi.TransportCapabilities;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;

/**
 * Every rule that a transport keeps, as tests: extend it, say which transport and what it can
 * promise, and run it with JUnit. The rules and their numbers are in {@code docs/conformance.md}.
 *
 * <p>The rules run between this JVM and a second one with the same class path, so the transport,
 * the engine and this class have to be on it.
 *
 * <p>The system property {@code p2p.seed} chooses other random sizes and places.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@Timeout(value = 150, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
public abstract class TransportConformance {

  private @Nullable PeerProcess peer;

  /** For subclasses. */
  protected TransportConformance() {}

  /** The transport's name, as in {@code UCCL_P2P_TRANSPORT}. */
  protected abstract String transport();

  /** What the transport promises; where it is less than all, the weaker form is tested. */
  protected abstract TransportCapabilities capabilities();

  /** The environment of every engine, on both sides. By default loopback, for one machine. */
  protected Map<String, String> environment() {
    return Map.of("UCCL_SOCKET_IFNAME", "lo");
  }

  /** Whether operations of more than 4 GiB are tried; false if the network is too slow for it. */
  protected boolean largeOperations() {
    return true;
  }

  /**
   * Whether regions of more than 4 GiB are tried; false if their memory would have to be pinned,
   * and the machine has not enough.
   */
  protected boolean largeRegions() {
    return true;
  }

  /**
   * What the rules divide their repetitions by, where these move many bytes or need many answers; 1
   * unless the network is slow.
   */
  protected int slowness() {
    return 1;
  }

  /**
   * Starts a peer process; by default on this machine. Override it to run the rules between two.
   * What it returns has the standard input and output of the process, and kills it when it is
   * destroyed forcibly.
   *
   * @param peer the command, in which class path and JDK are those of this JVM, and the environment
   * @throws IOException if it could not be started
   */
  protected Process startPeer(ProcessBuilder peer) throws IOException {
    return peer.start();
  }

  /**
   * What makes transfers to the peer stand still; by default its process is stopped, so it runs on
   * this machine. Where that does not help, because its network interface serves its memory without
   * it, return another means, or nothing: then the rules about transfers under way keep their ends
   * from the engine, and those that need the network itself to stand still are left out.
   */
  protected Optional<Standstill> standstill() {
    return Optional.of(peer().standstill());
  }

  /**
   * A descriptor whose key is wrong and all else right. By default a bit of the transport's first
   * own word is changed.
   */
  protected FifoDescriptor withWrongKey(FifoDescriptor right) {
    return FifoDescriptor.of(
        right.address(),
        right.length(),
        right.rkey(),
        right.rid(),
        right.idx(),
        right.own0() ^ 1,
        right.own1(),
        right.own2());
  }

  /**
   * How an engine of another transport is opened, for the rules of two transports. By default the
   * kit's own one, which has this transport below it and a magic of its own.
   */
  protected Optional<EngineConfig> secondTransport() {
    return Optional.empty();
  }

  @BeforeAll
  final void startPeer() {
    peer = anotherPeer(Map.of());
  }

  @AfterAll
  final void endPeer() {
    if (peer != null) {
      peer.close();
    }
  }

  final PeerProcess peer() {
    return Objects.requireNonNull(peer);
  }

  final PeerProcess anotherPeer(Map<String, String> environment) {
    return PeerProcess.start(environment, this::startPeer);
  }

  /** The transport is named as users name it: by the environment. */
  final EngineConfig config() {
    return config(Map.of());
  }

  /** The same with more variables. */
  final EngineConfig config(Map<String, String> more) {
    Map<String, String> variables = new HashMap<>(environment());
    variables.put("UCCL_P2P_TRANSPORT", transport());
    variables.putAll(more);
    return EngineConfig.of(variables);
  }

  /** For engines whose transport is watched. */
  final EngineConfig config(Watch watch) {
    return config(watch, Map.of());
  }

  /** The same with more variables. */
  final EngineConfig config(Watch watch, Map<String, String> more) {
    Map<String, String> all = watched(watch.variables(transport()));
    all.putAll(more);
    return config(all);
  }

  /** For an engine of another transport. */
  final EngineConfig second() {
    return secondTransport()
        .orElseGet(() -> config(watched(WatchedTransportProvider.variables(transport(), 0))));
  }

  /** With the window that the transport would have by itself. */
  private Map<String, String> watched(Map<String, String> variables) {
    Map<String, String> all = new HashMap<>(variables);
    String window = "UCCL_P2P_MAX_INFLIGHT_OPS";
    WatchedTransportProvider.find(transport())
        .filter(provider -> !environment().containsKey(window))
        .ifPresent(
            provider -> all.put(window, Integer.toString(provider.defaultInflightOperations())));
    return all;
  }

  /** An engine on each side, and a connection. */
  final Session session() throws InterruptedException {
    return Session.open(peer(), config());
  }

  final long seed() {
    return Long.getLong("p2p.seed", 17);
  }

  /** Aborts the rule where the native memory library is missing, unless it has to be there. */
  static void requireNativeMemory() {
    boolean there = NativeMemory.availability().available();
    boolean required =
        Arrays.asList(System.getProperty("p2p.require", "").split(",", -1)).contains("natives");
    if (!there && required) {
      throw new AssertionError("p2p.require=natives, but: " + NativeMemory.availability().detail());
    }
    Assumptions.assumeTrue(there, () -> NativeMemory.availability().detail());
  }

  /** Bytes of operations and where they arrive. */
  @Nested
  @DisplayName("Data")
  public class Data extends DataRules {
    /** For JUnit. */
    public Data() {
      super(TransportConformance.this);
    }
  }

  /** What is refused on this side already, and how long memory is in use. */
  @Nested
  @DisplayName("Local")
  public class Local extends LocalRules {
    /** For JUnit. */
    public Local() {
      super(TransportConformance.this);
    }
  }

  /** What the network may still touch, and when memory is given back. */
  @Nested
  @DisplayName("Memory")
  public class Memory extends MemoryRules {
    /** For JUnit. */
    public Memory() {
      super(TransportConformance.this);
    }
  }

  /** What the target refuses. */
  @Nested
  @DisplayName("Refusals")
  public class Refusals extends RefusalRules {
    /** For JUnit. */
    public Refusals() {
      super(TransportConformance.this);
    }
  }

  /** How connections come about and end, and what time bounds. */
  @Nested
  @DisplayName("Connections")
  public class Connections extends ConnectionRules {
    /** For JUnit. */
    public Connections() {
      super(TransportConformance.this);
    }
  }

  /** Notifications. */
  @Nested
  @DisplayName("Notifications")
  public class Notifications extends NotificationRules {
    /** For JUnit. */
    public Notifications() {
      super(TransportConformance.this);
    }
  }

  /** How the engine behaves in its process. */
  @Nested
  @DisplayName("Process")
  public class InProcess extends ProcessRules {
    /** For JUnit. */
    public InProcess() {
      super(TransportConformance.this);
    }
  }
}
