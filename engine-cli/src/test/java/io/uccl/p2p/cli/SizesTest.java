package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SizesTest {

  @Test
  void readsStepsOf1024() {
    assertThat(Sizes.parse("1179648,64M, 3k,2G,1").bytes())
        .containsExactly(1_179_648L, 64L << 20, 3L << 10, 2L << 30, 1L);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "0", "-1", "12X", "1.5M", "1,,2", "M", "99999999999G", "1234567890123456789"})
  void refusesWhatIsNoSizeAndSaysWhatIs(String text) {
    assertThatThrownBy(() -> Sizes.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("is not a size: give bytes from 1 on");
  }

  @ParameterizedTest
  @CsvSource({"1,1", "1023,1023", "1024,1K", "1179648,1152K", "67108864,64M", "3221225472,3G"})
  void labelsWithTheLargestStepThatDivides(long bytes, String label) {
    assertThat(Sizes.label(bytes)).isEqualTo(label);
    assertThat(Sizes.parse(label).bytes()).containsExactly(bytes);
  }

  @Test
  void countsAreReadAndBounded() {
    assertThat(Counts.parse("1, 2,1048576").values()).containsExactly(1, 2, 1 << 20);
    for (String wrong : new String[] {"", "0", "1,", "1048577", "x", "9999999999"}) {
      assertThatThrownBy(() -> Counts.parse(wrong))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("is not a number of operations");
    }
  }

  @Test
  void hostAndPortAreReadWithAndWithoutBrackets() {
    assertThat(HostPort.parse("node-1:7000")).isEqualTo(new HostPort("node-1", 7000));
    assertThat(HostPort.parse("10.0.0.1:1")).isEqualTo(new HostPort("10.0.0.1", 1));
    assertThat(HostPort.parse("[fe80::1]:65535")).isEqualTo(new HostPort("fe80::1", 65535));
    for (String wrong : new String[] {"", "host", "host:", ":1", "host:0", "host:65536", "::1:5"}) {
      assertThatThrownBy(() -> HostPort.parse(wrong))
          .isInstanceOfSatisfying(
              ToolException.class, e -> assertThat(e.exitCode()).isEqualTo(ExitCode.USAGE))
          .hasMessageContaining("give HOST:PORT");
    }
  }
}
