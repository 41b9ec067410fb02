package io.uccl.p2p.cli;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EndpointMetadata;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.cli.BenchOptions.Format;
import io.uccl.p2p.cli.BenchOptions.Layout;
import io.uccl.p2p.cli.BenchOptions.Role;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code p2p bench}: how fast the engine moves memory between two processes. */
@Command(
    name = "bench",
    description =
        "Measures transfers between the memory of two processes, and a raw socket copy of the same"
            + " shape beside them as their limit.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class)
final class BenchCommand implements Callable<Integer> {

  private static final int PAIRS_TO_KEEP = 7;
  private static final double SECONDS_TO_KEEP = 1;
  private static final Duration CONNECT = Duration.ofSeconds(10);
  private static final Duration PARENT_ENDS = Duration.ofSeconds(1);

  private final Console console;
  @Mixin private BenchOptions options = new BenchOptions();

  BenchCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() throws IOException, InterruptedException {
    options.validate();
    if (options.simulateCxi) {
      Variables.requireSimulatedCxi(console.environment());
      console.say("SIMULATED cxi: the figures say nothing about Slingshot");
    }
    if (options.role == Role.SERVER) {
      serve();
    } else if (options.peer != null) {
      measure(HostPort.parse(options.peer));
    } else {
      measureHere();
    }
    return ExitCode.OK;
  }

  private void serve() throws IOException, InterruptedException {
    Map<String, String> environment = new HashMap<>(console.environment());
    HostPort wanted = options.peer == null ? null : HostPort.parse(options.peer);
    if (wanted != null) {
      environment.put(Variables.CONTROL_PORT, Integer.toString(wanted.port()));
    }
    ParentWatch parent =
        options.piped ? ParentWatch.start(console.in(), Thread.currentThread()) : null;
    try (P2pEngine engine = P2pEngine.open(config(environment));
        BenchServer server = new BenchServer(console, engine)) {
      EndpointMetadata here = engine.metadata();
      if (wanted != null && !wanted.resolve().equals(here.address())) {
        throw ToolException.usage(
            "--peer "
                + options.peer
                + ": this engine is at "
                + here
                + "; give that address, or set UCCL_SOCKET_IFNAME to the other's interface");
      }
      if (options.piped) {
        console.out().println(HexFormat.of().formatHex(here.encode()));
        console.out().flush();
      } else {
        sayTransport(engine.transport());
        console.say("waiting for a client at " + here);
      }
      serve(server, parent);
    }
  }

  // Why a parent ended its measurement is the parent's to say, and not a failure of its child.
  private static void serve(BenchServer server, @Nullable ParentWatch parent)
      throws IOException, InterruptedException {
    try {
      server.serve();
    } catch (InterruptedException | P2pException | ToolException e) {
      if (parent == null || !parent.endsWithin(PARENT_ENDS)) {
        throw e;
      }
    }
  }

  private void measure(HostPort peer) throws IOException, InterruptedException {
    EndpointMetadata there = new EndpointMetadata(peer.resolve(), peer.port(), "");
    try (P2pEngine engine = P2pEngine.open(config(console.environment()))) {
      sayTransport(engine.transport());
      measure(engine, there);
    }
  }

  private void measureHere() throws IOException, InterruptedException {
    Map<String, String> environment = Variables.onThisMachine(console.environment());
    try (P2pEngine engine = P2pEngine.open(config(environment));
        ChildServer child =
            ChildServer.start(
                ChildJvm.command(childArguments(engine.transport().name())),
                Variables.ofTheSecond(environment))) {
      sayTransport(engine.transport());
      console.say(
          "two processes on this machine, the target is process "
              + child.pid()
              + "; "
              + Variables.DISABLE_IPC
              + "=1");
      measure(engine, child.metadata());
    }
  }

  private void measure(P2pEngine engine, EndpointMetadata there)
      throws IOException, InterruptedException {
    if (options.pairs < PAIRS_TO_KEEP || options.seconds < SECONDS_TO_KEEP) {
      console.say(
          "a trial: fewer than "
              + PAIRS_TO_KEEP
              + " pairs, or less than a second each, are no results to keep");
    }
    try (Connection server = engine.connect(there, CONNECT)) {
      Report report = report(engine.transport().name());
      new BenchClient(console, options, engine, server).measure(report);
    }
  }

  private Report report(String transport) {
    if (options.layout == Layout.NIXLBENCH) {
      return new NixlbenchReport(console.out());
    }
    Report.Heading heading =
        new Report.Heading(
            Version.text(), transport, options.simulateCxi, options.mode, RawCopy.NAME);
    if (options.format == Format.CSV) {
      return new CsvReport(console.out(), heading);
    }
    if (options.format == Format.JSON) {
      return new JsonReport(console.out(), heading);
    }
    return new TableReport(console.out(), options.sizes.bytes());
  }

  private EngineConfig config(Map<String, String> environment) {
    EngineConfig config = EngineConfig.of(environment).withGpuIndex(options.localGpuIdx);
    if (options.simulateCxi) {
      return config.withTransport("cxi");
    }
    return options.transport == null ? config : config.withTransport(options.transport);
  }

  private void sayTransport(TransportChoice choice) {
    console.say("transport " + choice.name() + ": " + choice.reason());
  }

  // The transport by name, so that both take the same whatever each of them finds.
  private List<String> childArguments(String transport) {
    return List.of(
        "bench",
        "--role",
        "server",
        "--piped",
        "--transport",
        transport,
        "--local-gpu-idx",
        Integer.toString(options.localGpuIdx));
  }
}
