package io.uccl.p2p.spi.nativelib;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code build.sh} where tools are missing. */
class BuildScriptTest {

  @TempDir Path folder;
  private Path tools;
  private Path classes;

  @BeforeEach
  void onlyWhatEveryMachineHas() throws Exception {
    tools = Files.createDirectory(folder.resolve("bin"));
    classes = folder.resolve("classes");
    for (String tool : List.of("uname", "dirname", "rm")) {
      Child where = Child.run(List.of("/bin/sh", "-c", "command -v " + tool));
      tool(tool, "exec " + where.output().strip() + " \"$@\"");
    }
  }

  @Test
  void withoutCmakeItSaysSoInOneLineAndSucceeds() throws Exception {
    Child build = build("");
    assertThat(build.exit()).isZero();
    assertThat(build.output())
        .startsWith("p2p: natives left out (libp2p_memory.so): cmake is not installed")
        .contains("apt-get install")
        .hasLineCount(1);
  }

  @Test
  void withoutMakeOrCompilerLikewise() throws Exception {
    pretend("cmake");
    assertThat(build("").output()).contains("neither make nor ninja").hasLineCount(1);
    pretend("make");
    assertThat(build("").output()).contains("no C compiler").hasLineCount(1);
  }

  @Test
  void withoutJniHeadersLikewise() throws Exception {
    pretend("cmake");
    pretend("make");
    pretend("cc");
    Child build = build("");
    assertThat(build.exit()).isZero();
    assertThat(build.output()).contains("has no include/jni.h").hasLineCount(1);
  }

  @Test
  void whereNativesAreRequiredItFails() throws Exception {
    Child build = build("tcp,natives");
    assertThat(build.exit()).isEqualTo(1);
    assertThat(build.output())
        .contains("-Dp2p.require=natives", "cmake is not installed")
        .hasLineCount(1);
    assertThat(build("tcp").exit()).isZero();
  }

  @Test
  void anEarlierBuildsLibraryIsLeftOutToo() throws Exception {
    for (String arch : List.of("x86_64", "aarch64")) {
      Path library = classes.resolve("META-INF/native/linux-" + arch + "/libp2p_memory.so");
      Files.createDirectories(library.getParent());
      Files.writeString(library, "old");
    }
    assertThat(build("").exit()).isZero();
    assertThat(classes.resolve("META-INF/native").toFile().listFiles())
        .filteredOn(arch -> arch.list().length == 0)
        .hasSize(1);
  }

  private void pretend(String name) throws Exception {
    tool(name, "exit 1");
  }

  private void tool(String name, String script) throws Exception {
    Path file = Files.writeString(tools.resolve(name), "#!/bin/sh\n" + script + "\n");
    assertThat(file.toFile().setExecutable(true)).isTrue();
  }

  private Child build(String require) throws Exception {
    Path natives = Path.of(System.getProperty("basedir", "."), "src/main/native").toAbsolutePath();
    ProcessBuilder builder =
        new ProcessBuilder(
            "/bin/sh",
            natives.resolve("build.sh").toString(),
            "p2p_memory",
            natives.toString(),
            folder.resolve("build").toString(),
            classes.toString(),
            folder.resolve("no-jdk").toString(),
            require);
    builder.environment().put("PATH", tools.toString());
    builder.environment().remove("CC");
    return Child.run(builder);
  }
}
