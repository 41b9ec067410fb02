package io.uccl.p2p.cli;

import java.io.IOException;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code p2p doctor}: which transports work here, which one is taken, and why. */
@Command(
    name = "doctor",
    description = "Says which transports work here, which one is taken, and why; and tries it.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
final class DoctorCommand implements Callable<Integer> {

  private final Console console;

  @Option(names = "--json", description = "One JSON object instead of text.")
  private boolean json;

  DoctorCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    Diagnosis diagnosis = new Doctor(console.environment()).examine();
    if (json) {
      console.out().println(DiagnosisJson.of(diagnosis).toPrettyString());
    } else {
      new DiagnosisText(console.out()).print(diagnosis);
    }
    console.out().flush();
    diagnosis.problems().forEach(console::say);
    return diagnosis.exitCode();
  }
}
