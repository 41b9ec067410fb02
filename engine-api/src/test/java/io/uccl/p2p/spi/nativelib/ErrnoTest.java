package io.uccl.p2p.spi.nativelib;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class ErrnoTest {

  @Test
  void namesAndTexts() {
    assertThat(Errno.name(12)).isEqualTo("ENOMEM");
    assertThat(Errno.text(12)).isEqualTo("Cannot allocate memory");
    assertThat(Errno.describe(110)).isEqualTo("ETIMEDOUT (Connection timed out)");
    assertThat(Errno.ENOMEM).isEqualTo(12);
  }

  @Test
  void signIsIgnored() {
    assertThat(Errno.describe(-Errno.EINVAL)).isEqualTo("EINVAL (Invalid argument)");
  }

  @Test
  void unknownNumbersHaveAnAnswer() {
    for (int errno : new int[] {0, 4711, Integer.MAX_VALUE}) {
      assertThat(Errno.name(errno)).isEqualTo("errno " + errno);
      assertThat(Errno.text(errno)).isEqualTo("Unknown error " + errno);
      assertThat(Errno.describe(errno)).isEqualTo("errno " + errno);
    }
    assertThat(Errno.describe(Integer.MIN_VALUE)).contains("2147483648");
  }

  @Test
  void numbersAreThoseOfTheCompilersHeaders() throws Exception {
    Child tool = Child.run(List.of("/bin/sh", "-c", "command -v cc"));
    Natives.assume(tool.exit() == 0, "there is no C compiler to ask for errno.h");
    Child headers =
        Child.run(List.of("cc", "-dM", "-E", "-x", "c", "-include", "errno.h", "/dev/null"));
    assertThat(headers.exit()).as(headers.output()).isZero();
    Matcher line =
        Pattern.compile("^#define (E[A-Z0-9]+) (\\d+)$", Pattern.MULTILINE)
            .matcher(headers.output());
    int known = 0;
    while (line.find()) {
      int errno = Integer.parseInt(line.group(2));
      if (!Errno.name(errno).startsWith("errno ")) {
        assertThat(Errno.name(errno)).isEqualTo(line.group(1));
        known++;
      }
    }
    assertThat(known).isGreaterThan(80);
  }
}
