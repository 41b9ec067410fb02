package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class RevokedRegionsTest {

  private static final long LIFE = 7L << 32;

  private final RevokedRegions revoked = new RevokedRegions();

  @Test
  void onlyWhatWasRevokedIsRemembered() {
    assertThat(revoked.isEmpty()).isTrue();
    assertThat(revoked.contains(LIFE | 3)).isFalse();
    assertThat(revoked.add(1, LIFE | 3, 0)).as("drained at once").isTrue();
    assertThat(revoked.isEmpty()).isFalse();
    assertThat(revoked.contains(LIFE | 3)).isTrue();
    assertThat(revoked.contains(LIFE | 4)).isFalse();
    assertThat(revoked.contains(LIFE | 3 + 256)).as("the same low bits").isFalse();
    assertThat(revoked.contains((8L << 32) | 3)).as("another life").isFalse();
    assertThat(revoked.isDraining()).isFalse();
  }

  @Test
  void theLatestAreRemembered() {
    for (long epoch = 1; epoch <= 1000; epoch++) {
      revoked.add(1, LIFE | epoch, 0);
    }
    for (long epoch = 1; epoch <= 1000; epoch++) {
      assertThat(revoked.contains(LIFE | epoch)).as("epoch %d", epoch).isEqualTo(epoch > 744);
    }
  }

  @Test
  void aRegionIsDrainedByTheEndOfTheLastOperationThatUsesIt() {
    assertThat(revoked.add(1, LIFE | 1, 2)).isFalse();
    assertThat(revoked.add(2, LIFE | 257, 1)).as("of the same low bits").isFalse();
    assertThat(revoked.add(1, LIFE | 1, 2)).as("told again").isFalse();
    assertThat(revoked.ended(LIFE | 1)).isNull();
    assertThat(revoked.ended(LIFE | 9)).as("of a region that is open").isNull();
    RevokedRegions.Drain drained = revoked.ended(LIFE | 1);
    assertThat(drained).isNotNull();
    assertThat(drained.rid()).isEqualTo(1);
    assertThat(drained.idx()).isEqualTo(LIFE | 1);
    assertThat(revoked.isDraining()).isTrue();
    assertThat(revoked.ended(LIFE | 257)).isNotNull();
    assertThat(revoked.isDraining()).isFalse();
  }
}
