package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.PeerState;
import io.uccl.p2p.engine.PeerWatch.Probe;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class PeerWatchTest {

  // Near the end of the clock's range, so that every sum of times overflows.
  private static final long START = Long.MAX_VALUE - 5;

  private final PeerWatch watch = new PeerWatch(START);

  private static long at(double seconds) {
    return START + Math.round(seconds * TimeUnit.SECONDS.toNanos(1));
  }

  private boolean tick(double seconds) {
    return watch.tick(at(seconds), false);
  }

  @Test
  void aPeerIsProbedOnceAfterMoreThanThreeSecondsOfSilence() {
    assertThat(tick(1)).isFalse();
    assertThat(tick(3)).isFalse();
    assertThat(tick(3.1)).isTrue();
    assertThat(tick(4)).as("while the probe is under way").isFalse();
    assertThat(watch.state()).isEqualTo(PeerState.CONNECTED);
  }

  @Test
  void aPeerThatIsHeardIsNotProbed() {
    for (int second = 1; second < 100; second++) {
      assertThat(tick(second)).isFalse();
      watch.heard(at(second + 0.5));
    }
    assertThat(watch.state()).isEqualTo(PeerState.CONNECTED);
  }

  @Test
  void aSilentPeerWhoseKernelAnswersIsStalledUntilItIsHeard() {
    tick(4);
    watch.probed(Probe.ANSWERED, at(4));
    assertThat(watch.state()).isEqualTo(PeerState.STALLED);
    watch.heard(at(5));
    assertThat(watch.state()).isEqualTo(PeerState.CONNECTED);
    assertThat(tick(8)).isFalse();
    assertThat(tick(8.1)).isTrue();
  }

  @Test
  void aSilentPeerWhoseKernelDoesNotAnswerIsLost() {
    for (Probe outcome : List.of(Probe.REFUSED, Probe.UNANSWERED)) {
      PeerWatch one = new PeerWatch(START);
      assertThat(one.tick(at(4), false)).isTrue();
      one.probed(outcome, at(7));
      assertThat(one.state()).isEqualTo(PeerState.LOST);
      assertThat(one.silence(at(7))).isEqualTo(TimeUnit.SECONDS.toNanos(7));
    }
  }

  @Test
  void aStalledPeerIsProbedLessAndLessOften() {
    List<Integer> probes = new ArrayList<>();
    for (int second = 1; second <= 120; second++) {
      if (tick(second)) {
        probes.add(second);
        watch.probed(Probe.ANSWERED, at(second));
      }
    }
    assertThat(probes).containsExactly(4, 7, 13, 25, 49, 79, 109);
  }

  @Test
  void aStalledPeerWhoseMachineVanishesIsLost() {
    tick(4);
    watch.probed(Probe.ANSWERED, at(4));
    assertThat(tick(7)).isTrue();
    watch.probed(Probe.UNANSWERED, at(10));
    assertThat(watch.state()).isEqualTo(PeerState.LOST);
  }

  @Test
  void whileThisSideDoesNotReadTheSilenceIsNotCounted() {
    for (int second = 1; second < 100; second++) {
      assertThat(watch.tick(at(second), true)).isFalse();
      assertThat(watch.state()).isEqualTo(PeerState.PAUSED);
    }
    assertThat(tick(100)).isFalse();
    assertThat(watch.state()).isEqualTo(PeerState.CONNECTED);
    assertThat(tick(103)).as("a fresh clock").isFalse();
    assertThat(tick(103.1)).isTrue();
  }

  @Test
  void whatAProbeSaysAfterThePeerWasHeardDoesNotCount() {
    tick(4);
    watch.heard(at(5));
    watch.probed(Probe.REFUSED, at(6));
    assertThat(watch.state()).isEqualTo(PeerState.CONNECTED);
    assertThat(tick(9)).isTrue();
    watch.tick(at(10), true);
    watch.probed(Probe.UNANSWERED, at(11));
    assertThat(watch.state()).isEqualTo(PeerState.PAUSED);
  }

  @Test
  void whenThisSideWasHeldUpTheSilenceIsForgotten() {
    tick(4);
    watch.restart(at(60));
    watch.probed(Probe.UNANSWERED, at(60));
    assertThat(watch.state()).isEqualTo(PeerState.CONNECTED);
    assertThat(tick(63)).isFalse();
    assertThat(tick(63.1)).isTrue();
  }

  @Test
  void aProbeThatCouldNotBeMadeIsMadeAtTheNextTick() {
    assertThat(tick(4)).isTrue();
    watch.notProbed();
    assertThat(tick(5)).isTrue();
  }
}
