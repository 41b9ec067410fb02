package io.uccl.p2p.readme;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the README shows is what a newcomer gets. */
class ReadmeTest {

  private static final Path README = Path.of("..", "README.md");

  @Test
  void theFirstProgramCompilesAndPrintsWhatTheReadmeSays(@TempDir Path folder) throws Exception {
    Path source = folder.resolve("FirstProgram.java");
    Files.writeString(source, firstProgram());
    String classPath = System.getProperty("java.class.path");
    int compiled =
        ToolProvider.getSystemJavaCompiler()
            .run(null, null, null, "-cp", classPath, "-d", folder.toString(), source.toString());
    assertThat(compiled).as("exit status of javac").isZero();

    ProcessBuilder builder =
        new ProcessBuilder(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                folder + ":" + classPath,
                "FirstProgram"));
    builder.environment().put("UCCL_SOCKET_IFNAME", "lo");
    builder.redirectError(ProcessBuilder.Redirect.INHERIT);
    Process process = builder.start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).as("ended in time").isTrue();
    assertThat(process.exitValue()).isZero();
    assertThat(printed.strip()).isEqualTo("block-17: hello");
    assertThat(Files.readString(README)).contains("It prints `block-17: hello`");
  }

  private static String firstProgram() throws IOException {
    Matcher block =
        Pattern.compile("```java\\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(README));
    assertThat(block.find()).as("a block of Java in the README").isTrue();
    return block.group(1);
  }
}
