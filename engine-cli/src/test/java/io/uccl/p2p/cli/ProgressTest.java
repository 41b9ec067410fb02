package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ProgressTest {

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @Test
  void overwritesOneLineOfATerminal() {
    Progress progress = new Progress(console(true));
    progress.show("one");
    progress.show("two");
    progress.clear();
    assertThat(err.toString(StandardCharsets.UTF_8))
        .isEqualTo("\r\u001b[Kone\r\u001b[Ktwo\r\u001b[K");
    assertThat(out.size()).isZero();
  }

  @Test
  void leavesFilesAndPipesAlone() {
    Progress progress = new Progress(console(false));
    progress.show("one");
    progress.clear();
    assertThat(err.size()).isZero();
  }

  private Console console(boolean terminal) {
    return new Console(
        InputStream.nullInputStream(),
        new PrintStream(out, true, StandardCharsets.UTF_8),
        new PrintStream(err, true, StandardCharsets.UTF_8),
        terminal,
        Map.of());
  }
}
