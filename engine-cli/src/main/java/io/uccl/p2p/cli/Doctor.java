package io.uccl.p2p.cli;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.cli.Diagnosis.Found;
import io.uccl.p2p.cli.Diagnosis.Value;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.EngineProvider;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportProvider;
import io.uccl.p2p.spi.nativelib.NativeMemory;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Examines what an engine would do here with this environment, and tries it. */
final class Doctor {

  private static final Availability NOT_TRIED =
      Availability.unavailable(
          "not tried, because no engine was opened", "Mend the problems first");

  private final Map<String, String> environment;
  private final Map<String, Value> values = new LinkedHashMap<>();
  private final Set<String> problems = new LinkedHashSet<>();
  private int exitCode = ExitCode.OK;

  Doctor(Map<String, String> environment) {
    this.environment = environment;
  }

  /** Examines once. */
  Diagnosis examine() throws IOException, InterruptedException {
    EngineProvider engines = engines();
    if (engines != null) {
      read("engine", engines.settings());
    }
    List<Found> transports = transports();
    TransportChoice choice = engines == null ? null : choose(engines);
    Trial.Result result = choice == null ? null : attempt();
    Availability trial = result == null ? null : result.transfer();
    return new Diagnosis(
        transports,
        choice,
        Machine.interfaces(),
        Machine.devices(Path.of("/sys/class")),
        List.copyOf(values.values()),
        ignored(),
        NativeMemory.availability(),
        result == null ? null : result.advertised(),
        trial != null || choice == null ? trial : NOT_TRIED,
        List.copyOf(problems),
        exitCode);
  }

  private @Nullable EngineProvider engines() {
    try {
      return EngineProvider.load();
    } catch (ConfigurationException e) {
      problem(e, ExitCode.USAGE);
      return null;
    }
  }

  private List<Found> transports() {
    TransportProviders transports = TransportProviders.load();
    List<Found> found = new ArrayList<>();
    transports.found().forEach(provider -> found.add(examine(provider)));
    transports.broken().forEach(error -> problem(error, ExitCode.USAGE));
    return found;
  }

  private Found examine(TransportProvider provider) {
    boolean usable = read(provider.name(), provider.settings());
    Availability availability =
        usable
            ? probe(provider)
            : Availability.unavailable(
                "not examined, because a variable that it reads cannot be used",
                "Mend the problems first");
    return new Found(provider.name(), provider.aliases(), availability);
  }

  // A third party's probe may break its promise not to throw.
  private Availability probe(TransportProvider provider) {
    try {
      return provider.probe(environment);
    } catch (RuntimeException | LinkageError e) {
      return Availability.unavailable(
          "its probe failed: " + Failures.line(e), "Tell the authors of this transport");
    }
  }

  /** True if all of them can be used. */
  private boolean read(String reader, List<Setting<?>> settings) {
    boolean usable = true;
    for (Setting<?> setting : settings) {
      String value = environment.getOrDefault(setting.name(), "").strip();
      values.putIfAbsent(
          setting.name(),
          new Value(setting.name(), reader, value, setting.defaultText(), setting.meaning()));
      try {
        setting.in(environment);
      } catch (ConfigurationException e) {
        usable = false;
        problem(e, ExitCode.USAGE);
      }
    }
    return usable;
  }

  private @Nullable TransportChoice choose(EngineProvider engines) {
    try {
      return engines.choose(EngineConfig.of(environment));
    } catch (P2pException e) {
      problem(e, codeOf(e));
      return null;
    }
  }

  private Trial.@Nullable Result attempt() throws InterruptedException {
    try {
      return Trial.run(EngineConfig.of(environment));
    } catch (P2pException | ToolException e) {
      problem(e, codeOf(e));
      return null;
    }
  }

  // An engine that opens and cannot transfer is as useless as one that does not open.
  private static int codeOf(RuntimeException failure) {
    return Failures.exitCode(failure) == ExitCode.USAGE
        ? ExitCode.USAGE
        : ExitCode.TRANSPORT_UNAVAILABLE;
  }

  private void problem(Throwable failure, int code) {
    problems.add(Failures.line(failure));
    // A mistake in the environment comes first: it may be the reason of all the rest.
    exitCode = exitCode == ExitCode.USAGE ? exitCode : code;
  }

  private List<String> ignored() {
    return new TreeMap<>(environment)
        .keySet().stream().filter(name -> Variables.isIgnored(name, values.keySet())).toList();
  }
}
