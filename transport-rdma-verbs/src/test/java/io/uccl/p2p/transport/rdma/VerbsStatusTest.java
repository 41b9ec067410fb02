package io.uccl.p2p.transport.rdma;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.TransportException;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What breaks a connection, as people are told it. The numbers are those of {@code verbs.h}. */
class VerbsStatusTest {

  private static final int VENDOR = 0x51;

  @ParameterizedTest
  @CsvSource({
    "4, TransportException, could not reach the operation's local memory, IBV_WC_LOC_PROT_ERR",
    "10, RemoteAccessException, refused the operation, IBV_WC_REM_ACCESS_ERR",
    "9, RemoteAccessException, found the operation invalid, IBV_WC_REM_INV_REQ_ERR",
    "11, PeerLostException, could not carry the operation out, IBV_WC_REM_OP_ERR",
    "12, PeerLostException, does not answer, IBV_WC_RETRY_EXC_ERR",
    "13, PeerLostException, never ready to receive, IBV_WC_RNR_RETRY_EXC_ERR",
    "19, TransportException, failed in the own network interface, IBV_WC_FATAL_ERR"
  })
  void aStatusIsToldByWhatItMeans(int status, String type, String summary, String name) {
    P2pException failure = VerbsStatus.failure(status, VENDOR);
    assertThat(failure.getClass().getSimpleName()).isEqualTo(type);
    assertThat(failure).hasMessageContaining(summary).hasMessageContaining(name);
    assertThat(failure).hasMessageContaining("vendor error 0x51");
    assertThat(failure.detail().remedy()).isNotEmpty();
  }

  /** It is not the cause of anything. */
  @Test
  void aFlushIsNotToldByItsName() {
    assertThat(VerbsStatus.failure(5, VENDOR))
        .isInstanceOf(PeerLostException.class)
        .hasMessageContaining("queue pair went to error")
        .hasMessageNotContaining("FLUSH");
  }

  @Test
  void whatTheDeviceDidNotTakeIsToldWithItsErrno() {
    assertThat(VerbsStatus.failure(1000, 22))
        .isInstanceOf(TransportException.class)
        .hasMessageContaining("does not take the operation")
        .hasMessageContaining("ibv_post_send")
        .hasMessageContaining("EINVAL");
  }

  @Test
  void everyStatusHasATextAndAMend() {
    IntStream.rangeClosed(1, 30)
        .mapToObj(status -> VerbsStatus.failure(status, 0))
        .forEach(
            failure -> {
              assertThat(failure)
                  .isInstanceOfAny(
                      TransportException.class,
                      PeerLostException.class,
                      RemoteAccessException.class);
              assertThat(failure.summary()).isNotBlank();
              assertThat(failure.detail().remedy()).isNotBlank();
            });
  }

  /** Of ibv_get_async_event(3): what is about the device, about its port, about a connection. */
  @Test
  void everyEventThatEndsSomethingHasItsOwnTextAndAMend() {
    Set<Integer> ofDevice = ending(VerbsEvent::deviceFailure);
    Set<Integer> ofPort = ending(VerbsEvent::portFailure);
    Set<Integer> ofConnection = ending(VerbsEvent::connectionFailure);
    assertThat(ofDevice).containsExactlyInAnyOrder(0, 8);
    assertThat(ofPort).containsExactly(10);
    assertThat(ofConnection).containsExactlyInAnyOrder(1, 2, 3);
    Stream.of(
            ofDevice.stream().map(VerbsEvent::deviceFailure),
            ofPort.stream().map(VerbsEvent::portFailure),
            ofConnection.stream().map(VerbsEvent::connectionFailure))
        .flatMap(each -> each)
        .forEach(
            failure -> {
              assertThat(Objects.requireNonNull(failure).getMessage()).contains("IBV_EVENT_");
              assertThat(failure.detail().remedy()).isNotBlank();
            });
  }

  private interface Meaning {
    @Nullable P2pException of(int type);
  }

  private static Set<Integer> ending(Meaning meaning) {
    return IntStream.range(0, 20)
        .filter(type -> meaning.of(type) != null)
        .boxed()
        .collect(Collectors.toSet());
  }
}
