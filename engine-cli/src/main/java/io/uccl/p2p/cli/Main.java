package io.uccl.p2p.cli;

import io.uccl.p2p.ConfigurationException;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The tool's entry: parses the line, runs the command, maps failures to exit codes. */
@Command(
    name = "p2p",
    description = "Measures and examines the point-to-point transfer engine.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:ok",
      "1:a transfer or a check failed",
      "2:usage or environment",
      "3:transport unavailable",
      "4:peer unreachable",
      "130:Ctrl-C"
    })
final class Main implements Runnable {

  private static volatile boolean ending;

  @Option(
      names = "--debug",
      scope = ScopeType.INHERIT,
      description = "Print the stack trace of a failure.")
  private boolean debug;

  @Spec private CommandSpec spec = CommandSpec.create();

  private Main() {}

  /** Runs the tool and ends the process with its exit code. */
  public static void main(String[] args) {
    Runtime.getRuntime().addShutdownHook(new Thread(() -> ending = true, "p2p-ending"));
    System.exit(run(Console.ofProcess(), args));
  }

  /** Runs the tool and returns its exit code. */
  static int run(Console console, String... args) {
    try {
      LogLevel.apply(console.environment());
    } catch (ConfigurationException e) {
      console.say(Failures.line(e));
      return ExitCode.USAGE;
    }
    Main main = new Main();
    CommandLine line =
        new CommandLine(main)
            .addSubcommand(new BenchCommand(console))
            .addSubcommand(new DoctorCommand(console))
            .registerConverter(int.class, new Numbers.Whole())
            .registerConverter(double.class, new Numbers.Decimal())
            .registerConverter(Mode.class, Words.of(Mode.class))
            .registerConverter(BenchOptions.Format.class, Words.of(BenchOptions.Format.class))
            .registerConverter(BenchOptions.Layout.class, Words.of(BenchOptions.Layout.class))
            .registerConverter(BenchOptions.Device.class, Words.of(BenchOptions.Device.class))
            .registerConverter(BenchOptions.Role.class, Words.of(BenchOptions.Role.class))
            .setOverwrittenOptionsAllowed(false)
            .setOut(new PrintWriter(console.out(), true, Charset.defaultCharset()))
            .setErr(new PrintWriter(console.err(), true, Charset.defaultCharset()))
            .setParameterExceptionHandler((e, unparsed) -> refuse(console, e))
            .setExecutionExceptionHandler((e, command, parsed) -> main.fail(console, e));
    return line.execute(args);
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing: bench or doctor");
  }

  private static int refuse(Console console, ParameterException e) {
    String name = e.getCommandLine().getCommandSpec().qualifiedName();
    console.say(Failures.line(ToolException.usage(e.getMessage() + "; see " + name + " --help")));
    return ExitCode.USAGE;
  }

  private int fail(Console console, Exception failure) {
    // After Ctrl-C everything breaks, and nobody wants to read about it.
    if (!ending) {
      console.say(Failures.line(failure));
      if (debug) {
        failure.printStackTrace(console.err());
      }
    }
    return Failures.exitCode(failure);
  }
}
