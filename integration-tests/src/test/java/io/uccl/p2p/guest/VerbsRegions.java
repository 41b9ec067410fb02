package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.Transfer;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Regions on a device that registers little at a time, and regions where writes are flushed. {@link
 * VerbsVariantsTest} runs it in a guest.
 */
class VerbsRegions {

  private static final int LONGEST = 1 << 20;

  /** Wherever it begins, it has four pieces at most. */
  private static final int LENGTH = 3 * LONGEST;

  private static final Duration TIME = Duration.ofSeconds(30);

  private P2pEngine here;
  private P2pEngine there;

  @BeforeEach
  void open() {
    VerbsFaults.limitRegistrations(LONGEST);
    here = open("off");
    there = open("off");
  }

  private static P2pEngine open(String flush) {
    return P2pEngine.open(
        EngineConfig.of(
            Map.of(
                "UCCL_P2P_TRANSPORT",
                "rdma",
                "UCCL_IBV_SO",
                VerbsFaults.LIBRARY.toString(),
                "UCCL_P2P_RDMA_FLUSH",
                flush)));
  }

  @AfterEach
  void close() {
    here.close();
    there.close();
  }

  @Test
  void aRegionLongerThanTheDeviceRegistersIsOne() throws InterruptedException {
    try (MemoryRegion source = here.allocate(LENGTH);
        MemoryRegion target = there.allocate(LENGTH);
        MemoryRegion copy = here.allocate(LENGTH)) {
      byte[] bytes = new byte[LENGTH];
      new Random(1).nextBytes(bytes);
      source.slice(0, LENGTH).put(bytes);
      Connection connection = here.connect(there.metadata(), TIME);
      FifoDescriptor all = target.advertise();
      assertThat(connection.write(source, 0, all).await(TIME)).isTrue();
      assertThat(contents(target)).isEqualTo(bytes);
      assertThat(connection.read(copy, 0, all).await(TIME)).isTrue();
      assertThat(contents(copy)).isEqualTo(bytes);
    }
  }

  @Test
  void aRegionThatNeedsMoreKeysThanADescriptorHasIsRefused() {
    ByteBuffer memory = ByteBuffer.allocateDirect(6 * LONGEST);
    assertThatThrownBy(() -> here.register(memory))
        .isInstanceOf(RegistrationException.class)
        .hasMessageContaining(Integer.toString(6 * LONGEST));
  }

  @Test
  void aFlushedWriteToWhatIsNotOpenToReadsCostsThatOperation() throws InterruptedException {
    try (P2pEngine flushing = open("on");
        MemoryRegion source = flushing.allocate(LONGEST);
        MemoryRegion closed =
            there.register(ByteBuffer.allocateDirect(LONGEST), RegionAccess.REMOTE_WRITE);
        MemoryRegion open = there.allocate(LONGEST)) {
      source.slice(0, 1).put(0, (byte) 42);
      Connection connection = flushing.connect(there.metadata(), TIME);
      Transfer refused = connection.write(source, 0, closed.advertise());
      assertThatThrownBy(() -> refused.await(TIME))
          .isInstanceOf(RemoteAccessException.class)
          .hasMessageContaining("not open to reads")
          .hasMessageContaining("UCCL_P2P_RDMA_FLUSH=off");
      assertThat(connection.write(source, 0, open.advertise()).await(TIME)).isTrue();
      assertThat(open.slice(0, 1).get(0)).isEqualTo((byte) 42);
      assertThat(closed.slice(0, 1).get(0)).isZero();
    }
  }

  private static byte[] contents(MemoryRegion region) {
    byte[] bytes = new byte[LENGTH];
    region.slice(0, LENGTH).get(bytes);
    return bytes;
  }
}
