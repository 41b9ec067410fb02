package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NearestNameTest {

  @ParameterizedTest
  @CsvSource({
    "'', '', 0",
    "'', abc, 3",
    "abc, abc, 0",
    "abc, abxc, 1",
    "abxc, abc, 1",
    "abc, abd, 1",
    "tpc, tcp, 1",
    "rmda, rdma, 1",
    "kitten, sitting, 3",
  })
  void distanceCountsInsertionsDeletionsReplacementsAndSwaps(String a, String b, int edits) {
    assertThat(NearestName.distance(a, b)).isEqualTo(edits);
    assertThat(NearestName.distance(b, a)).isEqualTo(edits);
  }

  @Test
  void theFewestEditsWin() {
    assertThat(NearestName.of("tcpp", List.of("rdma", "tcpip", "tcp"), 2)).contains("tcp");
  }

  @Test
  void ofSeveralThatAreAsNearTheAlphabeticallyFirstIsTaken() {
    assertThat(NearestName.of("tcx", List.of("tcy", "tcp"), 1)).contains("tcp");
  }

  @Test
  void whatIsFurtherThanAllowedIsNotNear() {
    assertThat(NearestName.of("infiniband", List.of("ib", "rdma"), 3)).isEmpty();
    assertThat(NearestName.of("abcd", List.of("abxy"), 2)).contains("abxy");
    assertThat(NearestName.of("abcd", List.of("abxy"), 1)).isEmpty();
  }
}
