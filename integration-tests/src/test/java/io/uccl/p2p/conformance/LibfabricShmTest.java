package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.RemoteAccessException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * Two processes on libfabric 2.1's provider shm, whose remote addresses are virtual ones and whose
 * endpoints have names. It does not check keys, so it is not for the kit.
 */
@ExtendWith(NeedsLibfabric.class)
@Timeout(120)
class LibfabricShmTest {

  private static final int LENGTH = 3_000_001;
  private static final int PART = 1_000_003;
  private static final int OFFSET = 1_234_567;

  private P2pEngine engine;
  private PeerProcess process;
  private RemoteEngine peer;
  private Connection connection;
  private RemoteConnection back;

  @BeforeEach
  void connect() throws Exception {
    Map<String, String> environment = new HashMap<>(CxiChild.ENGINE);
    environment.put("UCCL_CXI_PROVIDER", "shm");
    EngineConfig config = EngineConfig.of(environment);
    engine = P2pEngine.open(config);
    process = PeerProcess.start();
    peer = process.open(config);
    connection = engine.connect(peer.metadata(), Duration.ofSeconds(30));
    back = peer.accept();
  }

  @AfterEach
  void close() {
    engine.close();
    // Or shm leaves a file in /dev/shm.
    peer.close();
    process.close();
  }

  private MemoryRegion filled(long seed) {
    MemoryRegion region = engine.allocate(LENGTH);
    Pattern.fill(region, 0, LENGTH, seed, 0);
    return region;
  }

  @Test
  void knownBytesGoBothWaysInEitherProcesssHands() throws Exception {
    RemoteRegion remote = peer.allocate(LENGTH);
    remote.fill(1);
    MemoryRegion local = filled(2);
    FifoDescriptor there = remote.advertise(OFFSET, PART);

    connection.write(local, 77, there).await();
    remote.check("before what was written", 0, OFFSET, 1, 0);
    remote.check("what was written", OFFSET, PART, 2, 77);
    remote.check("behind it", OFFSET + PART, LENGTH - OFFSET - PART, 1, OFFSET + PART);

    remote.fill(3);
    connection.read(local, 99, there).await();
    assertThat(Pattern.mismatch(local, 99, PART, 3, OFFSET)).isEqualTo(-1);

    FifoDescriptor here = local.advertise(OFFSET, PART);
    remote.fill(4);
    back.run(new RemoteConnection.Operation(true, remote, 55, here, 0, PART));
    assertThat(Pattern.mismatch(local, OFFSET, PART, 4, 55)).isEqualTo(-1);

    Pattern.fill(local, 0, LENGTH, 5, 0);
    back.run(new RemoteConnection.Operation(false, remote, 33, here, 0, PART));
    remote.check("what was read", 33, PART, 5, OFFSET);
  }

  @Test
  void theRangeIsCheckedHere() {
    FifoDescriptor right = peer.allocate(LENGTH).advertise();
    MemoryRegion local = filled(1);
    FifoDescriptor shifted =
        FifoDescriptor.of(
            right.address() + 1,
            right.length(),
            right.rkey(),
            right.rid(),
            right.idx(),
            right.own0(),
            right.own1(),
            right.own2());
    assertThatThrownBy(() -> connection.write(local, 0, shifted).await())
        .isInstanceOf(RemoteAccessException.class);
  }
}
