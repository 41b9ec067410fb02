package io.uccl.p2p.transport.cxi;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.RegistrationException;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.transport.cxi.SimulatedCounts.Counter;
import io.uccl.p2p.transport.cxi.SimulatedCounts.Fault;
import io.uccl.p2p.transport.cxi.SimulatedCounts.Mode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import org.assertj.core.api.Assertions;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the transport makes of a network that fails, on the simulated cxi provider. */
@Timeout(300)
class CxiFaultsTest {

  private static final boolean PROVE = Boolean.getBoolean("p2p.prove");

  private static SimulatedCounts counts;
  private Driven driven;

  @BeforeAll
  static void findTheSimulatedProvider() throws IOException {
    Needs.simulatedCxi();
    counts = new SimulatedCounts(Path.of(System.getenv("FI_CXI_SIM_COUNTS")));
  }

  @BeforeEach
  void open() {
    driven = new Driven(Map.of("UCCL_CXI_PROVIDER", "cxi", "UCCL_LIBFABRIC_SO", Needs.libfabric()));
  }

  @AfterEach
  void close() {
    for (Fault fault : Fault.values()) {
      counts.set(fault, Mode.OFF, 0);
    }
    driven.close();
    assertThat(counts.get(Counter.RMA_BEFORE_ENABLE)).isZero();
    assertThat(counts.get(Counter.DESCRIPTORS_IGNORED)).isZero();
    assertThat(objects()).as("what is left open").allSatisfy((what, n) -> assertThat(n).isZero());
  }

  private static Map<Counter, Long> objects() {
    Map<Counter, Long> objects = new EnumMap<>(Counter.class);
    for (Counter counter : Counter.values()) {
      if (counter.compareTo(Counter.LINGERING) <= 0) {
        objects.put(counter, counts.get(counter));
      }
    }
    return objects;
  }

  private Optional<P2pException> written(Channel channel) {
    return driven.written(channel, driven.local, driven.remote.descriptor(), 4096);
  }

  @Test
  void anOperationThatCannotBePostedFailsAlone() {
    Channel channel = driven.connect();
    counts.set(Fault.POST_ERROR, Mode.AT, 1);
    assertThat(written(channel))
        .hasValueSatisfying(
            failure -> {
              assertThat(failure)
                  .isInstanceOf(TransportException.class)
                  .hasMessageContaining("fi_write");
              assertThat(failure.detail().providerErrno()).isEqualTo(5);
            });
    assertThat(written(channel)).isEmpty();
    assertThat(driven.failed).isEmpty();
  }

  @Test
  void anErrorEntryOfTheCompletionQueueFailsItsOperationAlone() {
    Channel channel = driven.connect();
    counts.set(Fault.CQ_ERROR, Mode.AT, 1);
    assertThat(written(channel))
        .hasValueSatisfying(
            failure -> {
              assertThat(failure.detail().providerErrno()).isNotZero();
              assertThat(failure.detail().providerText()).contains("fi_cq_readerr: ", "EIO");
            });
    assertThat(written(channel)).isEmpty();
    assertThat(driven.failed).isEmpty();
  }

  @Test
  void whatIsRefusedForWantOfRoomIsPostedLater() {
    Channel channel = driven.connect();
    counts.set(Fault.EAGAIN, Mode.AFTER, 0);
    assertThat(driven.write(channel, driven.local, driven.remote.descriptor(), 64)).isEqualTo(-1);
    counts.set(Fault.EAGAIN, Mode.OFF, 0);
    assertThat(written(channel)).isEmpty();
  }

  @Test
  void anOperationWhoseCompletionIsLostIsNotReportedAndKeepsItsMemory() {
    Channel channel = driven.connect();
    counts.set(Fault.LOST_COMPLETION, Mode.AT, 1);
    long lost = driven.write(channel, driven.local, driven.remote.descriptor(), 64);
    assertThat(lost).isPositive();
    assertThat(written(channel)).isEmpty();
    assertThat(driven.ended).doesNotContainKey(lost);
    // Nothing is left open all the same: see close().
  }

  @Test
  void aDeviceThatIsGoneFailsItsChannelsAndAFreshEndpointWorks() {
    Channel first = driven.connect();
    Channel second = driven.connect();
    assertThat(written(first)).isEmpty();
    counts.set(Fault.GONE, Mode.AT, 1);
    assertThat(written(first)).isPresent();
    driven.until(() -> driven.failed.size() == 2);
    assertThat(driven.failed.keySet()).containsExactlyInAnyOrder(first, second);
    assertThat(driven.failed.values())
        .allSatisfy(
            failure ->
                assertThat(failure)
                    .isInstanceOf(TransportException.class)
                    .hasMessageContaining("the endpoint of the network failed"));
    first.close();
    second.close();
    counts.set(Fault.GONE, Mode.OFF, 0);
    Channel fresh = driven.connect();
    assertThat(written(fresh)).isEmpty();
  }

  @Test
  void registeringMemoryFailsWithTheCauseAndTheNextOneWorks() {
    counts.set(Fault.REGISTRATION, Mode.AT, 1);
    Assertions.assertThatExceptionOfType(RegistrationException.class)
        .isThrownBy(() -> Driven.register(driven.here, 7))
        .withMessageContaining("fi_mr_reg")
        .withMessageContaining("ulimit -l");
    Driven.Memory memory = Driven.register(driven.here, 7);
    assertThat(driven.written(driven.connect(), memory, driven.remote.descriptor(), 64)).isEmpty();
    memory.registered().close();
    memory.registered().release();
    memory.allocation().close();
  }

  @Test
  @Tag("prove")
  @Tag("cycles")
  void cyclesOfRegisterWriteAndCloseLeaveNothing() {
    Channel channel = driven.connect();
    int rounds = PROVE ? 10_000 : 300;
    long registrations = counts.get(Counter.MRS);
    for (int i = 0; i < rounds; i++) {
      Driven.Memory memory = Driven.register(driven.there, 3 + i);
      FifoDescriptor descriptor = memory.descriptor();
      assertThat(driven.written(channel, driven.local, descriptor, 4096)).isEmpty();
      memory.registered().close();
      memory.registered().release();
      memory.allocation().close();
    }
    assertThat(counts.get(Counter.MRS)).isEqualTo(registrations);
  }
}
