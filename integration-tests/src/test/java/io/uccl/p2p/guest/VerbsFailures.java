package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.TransportException;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/**
 * How connections of the rdma transport break, on a device of the machine that it runs on. {@link
 * VerbsFailuresTest} runs it in a guest, whose link it takes down.
 */
class VerbsFailures {

  @Test
  void aPeerThatDoesNotAnswerIsLost() {
    try (VerbsSide here = new VerbsSide();
        VerbsSide there = new VerbsSide()) {
      VerbsSide.connect(here, there);
      there.channel().close();
      here.write(there, 1, 3, 100);
      P2pException first = here.await(1).orElseThrow();
      assertThat(first)
          .isInstanceOf(PeerLostException.class)
          .hasMessageContaining("does not answer")
          .hasMessageContaining("IBV_WC_RETRY_EXC_ERR");
      assertThat(here.await(2)).contains(first);
      assertThat(here.await(3)).contains(first);
      assertThat(here.awaitFailure()).isSameAs(first);
      worksAnew(here, there);
    }
  }

  @Test
  void closingAChannelGivesItsMemoryBackAtOnce() {
    try (VerbsSide here = new VerbsSide();
        VerbsSide there = new VerbsSide()) {
      VerbsSide.connect(here, there);
      // Nobody answers, and the device would try for seconds.
      there.channel().close();
      here.write(there, 1, 60, VerbsSide.SIZE);
      assertThat(here.hasEnded(1)).isFalse();
      long start = System.nanoTime();
      here.channel().close();
      for (int id = 1; id <= 60; id++) {
        assertThat(here.await(id)).get().isInstanceOf(ResourceClosedException.class);
      }
      assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(2));
      worksAnew(here, there);
    }
  }

  @Test
  void theFirstRefusalIsTheCauseOfAll() {
    try (VerbsSide here = new VerbsSide();
        VerbsSide there = new VerbsSide()) {
      VerbsSide.connect(here, there);
      there.closeMemory();
      here.write(there, 1, 60, 100);
      P2pException first = here.await(1).orElseThrow();
      assertThat(first)
          .isInstanceOf(RemoteAccessException.class)
          .hasMessageContaining("IBV_WC_REM_ACCESS_ERR");
      for (int id = 2; id <= 60; id++) {
        assertThat(here.await(id)).contains(first);
      }
      assertThat(here.awaitFailure()).isSameAs(first);
      assertThat(there.bytes().get(0)).isZero();
    }
  }

  @Test
  void aPortThatGoesDownBreaksItsConnections() throws Exception {
    try (VerbsSide here = new VerbsSide();
        VerbsSide there = new VerbsSide()) {
      VerbsSide.connect(here, there);
      run("ip", "link", "set", "dummy0", "down");
      try {
        assertThat(here.awaitFailure())
            .isInstanceOf(PeerLostException.class)
            .hasMessageContaining("port of this process's device went down");
        assertThatThrownBy(() -> VerbsSide.connect(here, there))
            .isInstanceOf(TransportException.class)
            .hasMessageContaining("rxe0 port 1 is down")
            .hasMessageContaining("bring the interface up");
      } finally {
        run("ip", "link", "set", "dummy0", "up");
      }
    }
  }

  private static void worksAnew(VerbsSide here, VerbsSide there) {
    VerbsSide.connect(here, there);
    here.bytes().put(0, (byte) 42);
    here.write(there, 100, 1, 1);
    assertThat(here.await(100)).isEmpty();
    assertThat(there.bytes().get(0)).isEqualTo((byte) 42);
  }

  private static void run(String... command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).inheritIO().start();
    assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).isZero();
  }
}
