package io.uccl.p2p.cli;

import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The command line that starts another JVM like this one. */
final class ChildJvm {

  private ChildJvm() {}

  /** Same executable, class path and options as this JVM; the tool's main class. */
  static List<String> command(List<String> arguments) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    for (String option : ManagementFactory.getRuntimeMXBean().getInputArguments()) {
      // A debugger's port is taken already, and would keep the child waiting.
      if (!option.startsWith("-agentlib:jdwp") && !option.startsWith("-Xrunjdwp")) {
        command.add(option);
      }
    }
    if (command.stream().noneMatch(option -> option.startsWith("--enable-native-access"))) {
      // What the manifest says for this JVM may not hold for a class that is named.
      command.add("--enable-native-access=ALL-UNNAMED");
    }
    String module = Main.class.getModule().getName();
    if (module == null) {
      command.add("-cp");
      command.add(System.getProperty("java.class.path"));
      command.add(Main.class.getName());
    } else {
      command.add("--module-path");
      command.add(System.getProperty("jdk.module.path"));
      command.add("-m");
      command.add(module + "/" + Main.class.getName());
    }
    command.addAll(arguments);
    return command;
  }
}
