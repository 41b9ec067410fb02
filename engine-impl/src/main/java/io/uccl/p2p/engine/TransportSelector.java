package io.uccl.p2p.engine;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportProvider;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Chooses the transport of an engine: the one that the program or else the environment names, or
 * the best one that can work on this machine.
 *
 * <ul>
 *   <li>{@link EngineConfig#transport()} beats {@code UCCL_P2P_TRANSPORT}, which is then not looked
 *       at. Names and aliases are taken in any case.
 *   <li>A name that nobody has is an error, never a reason to take another transport; so is a
 *       transport that was named and cannot work.
 *   <li>Unset, the available transport of the highest positive priority is taken. Others must be
 *       named.
 *   <li>A transport that is broken (its class cannot be loaded, its probe throws) is a candidate
 *       that is not available, and harms nobody else.
 * </ul>
 */
final class TransportSelector {

  /**
   * Transports of the C++ engine that do not exist here, the nearest that does, and why that one.
   * That engine uses one and the same TCP-based transport for {@code nccl}, {@code tcpx} and {@code
   * tcp}. Its {@code efa} speaks a protocol of Amazon's cards that has no reliable connected queue
   * pairs, so {@code rdma} is not near; these cards' machines do have TCP.
   */
  private static final Map<String, Nearest> REFERENCE_ONLY =
      Map.of(
          "nccl", new Nearest("tcp", "there, nccl and tcp are the same"),
          "tcpx", new Nearest("tcp", "there, tcpx and tcp are the same"),
          "efa",
              new Nearest(
                  "tcp", "rdma needs reliable connected queue pairs, which EFA does not have"));

  private final TransportDiscovery discovery;
  private final Map<String, String> environment;
  private final Optional<String> named;
  private final String namedBy;
  private final Map<TransportProvider, Availability> probed = new LinkedHashMap<>();

  private TransportSelector(EngineConfig config, TransportDiscovery discovery) {
    this.discovery = discovery;
    this.environment = config.environment();
    if (config.transport().isPresent()) {
      named = config.transport().map(String::trim);
      namedBy = "the program";
    } else {
      String text = EngineSettings.TRANSPORT.in(environment);
      named = text.isEmpty() ? Optional.empty() : Optional.of(text);
      namedBy = EngineSettings.TRANSPORT.name();
    }
  }

  private record Nearest(String name, String reason) {}

  /**
   * What was chosen.
   *
   * @param provider to open
   * @param choice for {@code engine.transport()}
   * @param warnings to log and to show, one line each: variables without effect, what the chosen
   *     transport will regret, broken transports
   * @param magics names of all transports that were found, by the magic of their handshakes
   */
  record Selection(
      TransportProvider provider,
      TransportChoice choice,
      List<String> warnings,
      Map<Integer, String> magics) {

    /** Copies the collections. */
    Selection {
      warnings = List.copyOf(warnings);
      magics = Map.copyOf(magics);
    }
  }

  /**
   * Finds the transports, checks the environment, and chooses.
   *
   * @throws ConfigurationException if the environment is wrong or names a transport that is not
   *     there; its one line holds everything that is wrong
   * @throws TransportUnavailableException if the named transport, or every one, cannot work here
   */
  static Selection select(EngineConfig config) {
    return select(config, TransportDiscovery.find());
  }

  /** The same among given transports. */
  static Selection select(EngineConfig config, TransportDiscovery discovery) {
    return new TransportSelector(config, discovery).select();
  }

  private Selection select() {
    EnvironmentCheck check = EnvironmentCheck.of(environment, discovery.providers());
    Optional<TransportProvider> wanted = named.flatMap(this::lookUp);
    if (named.isPresent() && wanted.isEmpty()) {
      check = check.and(unknown(named.orElseThrow()));
    }
    check.throwIfWrong();

    for (TransportProvider provider : discovery.providers()) {
      probed.put(provider, probe(provider));
    }
    TransportProvider chosen =
        wanted.isPresent() ? requireAvailable(wanted.orElseThrow()) : bestAvailable();
    return new Selection(
        chosen,
        new TransportChoice(chosen.name(), reason(chosen, wanted.isPresent()), candidates()),
        warnings(check, chosen),
        magics());
  }

  private Map<Integer, String> magics() {
    Map<Integer, String> magics = new HashMap<>();
    discovery.providers().forEach(p -> magics.putIfAbsent(p.handshakeMagic(), p.name()));
    return magics;
  }

  private Optional<TransportProvider> lookUp(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    return discovery.providers().stream()
        .filter(provider -> names(provider).contains(lower))
        .findFirst();
  }

  private static List<String> names(TransportProvider provider) {
    List<String> names = new ArrayList<>();
    names.add(provider.name().toLowerCase(Locale.ROOT));
    provider.aliases().forEach(alias -> names.add(alias.toLowerCase(Locale.ROOT)));
    return names;
  }

  private Availability probe(TransportProvider provider) {
    String remedy = "Report it to the authors of " + provider.getClass().getName();
    try {
      // Third parties compile without our null checks.
      @Nullable Availability answer = provider.probe(environment);
      return answer == null
          ? Availability.unavailable("its probe returned nothing", remedy)
          : new Availability(
              answer.available(), OneLine.of(answer.detail()), OneLine.of(answer.remedy()));
    } catch (RuntimeException | LinkageError e) {
      return Availability.unavailable("its probe failed: " + OneLine.of(e), remedy);
    }
  }

  private Availability availability(TransportProvider provider) {
    return Objects.requireNonNull(probed.get(provider));
  }

  private TransportProvider requireAvailable(TransportProvider provider) {
    Availability availability = availability(provider);
    if (!availability.available()) {
      throw new TransportUnavailableException(
          provider.name() + ", " + namedAs() + ", cannot work here: " + availability.detail(),
          FailureDetail.remedy(availability.remedy()).withTransport(provider.name()));
    }
    return provider;
  }

  private TransportProvider bestAvailable() {
    for (TransportProvider provider : discovery.providers()) {
      if (provider.priority() > 0 && availability(provider).available()) {
        return provider;
      }
    }
    if (discovery.providers().isEmpty() && discovery.broken().isEmpty()) {
      throw new TransportUnavailableException(
          "no transport was found",
          FailureDetail.remedy(
              "Add one to the class path or module path: transport-tcp works"
                  + " on every machine"));
    }
    List<String> reasons = new ArrayList<>();
    List<String> remedies = new ArrayList<>();
    for (TransportChoice.Candidate candidate : candidates()) {
      reasons.add(candidate.name() + ": " + candidate.detail());
      if (!candidate.remedy().isEmpty()) {
        remedies.add(candidate.name() + ": " + candidate.remedy());
      }
    }
    throw new TransportUnavailableException(
        "no transport can be chosen here; " + String.join("; ", reasons),
        FailureDetail.remedy(String.join("; ", remedies)));
  }

  private String reason(TransportProvider chosen, boolean wasNamed) {
    if (wasNamed) {
      String text = namedAs();
      return named.orElseThrow().toLowerCase(Locale.ROOT).equals(chosen.name())
          ? text
          : text + ", another name of " + chosen.name();
    }
    StringBuilder text = new StringBuilder("the best available");
    for (TransportProvider provider : discovery.providers()) {
      if (provider.equals(chosen)) {
        break;
      }
      text.append("; ")
          .append(provider.name())
          .append(": ")
          .append(availability(provider).detail());
    }
    return text.toString();
  }

  /** Who named the transport: a part of a sentence. */
  private String namedAs() {
    if (namedBy.equals(EngineSettings.TRANSPORT.name())) {
      return namedBy + "=" + named.orElseThrow();
    }
    String beaten = EngineSettings.TRANSPORT.in(environment);
    return "named by the program"
        + (beaten.isEmpty()
            ? ""
            : ", which beats " + EngineSettings.TRANSPORT.name() + "=" + OneLine.of(beaten));
  }

  private List<TransportChoice.Candidate> candidates() {
    List<TransportChoice.Candidate> candidates = new ArrayList<>();
    for (TransportProvider provider : discovery.providers()) {
      Availability availability = availability(provider);
      String mustBeNamed = EngineSettings.TRANSPORT.name() + "=" + provider.name();
      String detail = availability.detail();
      candidates.add(
          new TransportChoice.Candidate(
              provider.name(),
              availability.available(),
              provider.priority() > 0 ? detail : detail + " (only when named: " + mustBeNamed + ")",
              availability.remedy()));
    }
    for (TransportDiscovery.Broken broken : discovery.broken()) {
      candidates.add(
          new TransportChoice.Candidate(
              broken.name(), false, broken.reason(), "Repair or remove its jar"));
    }
    return candidates;
  }

  private List<String> warnings(EnvironmentCheck check, TransportProvider chosen) {
    List<String> warnings = new ArrayList<>(check.warnings());
    Availability taken = availability(chosen);
    if (!taken.remedy().isEmpty()) {
      warnings.add("transport " + chosen.name() + ": " + taken.detail() + ". " + taken.remedy());
    }
    if (named.isEmpty()) {
      warnings.addAll(passedOver(chosen));
    }
    for (TransportDiscovery.Broken broken : discovery.broken()) {
      warnings.add("transport " + broken.name() + " cannot be used: " + broken.reason());
    }
    return warnings;
  }

  /** Better ones that cannot work, though variables say that somebody wanted them. */
  private List<String> passedOver(TransportProvider chosen) {
    List<String> warnings = new ArrayList<>();
    Set<String> shared = chosen.settings().stream().map(Setting::name).collect(Collectors.toSet());
    for (TransportProvider provider : discovery.providers()) {
      if (provider == chosen) {
        break;
      }
      // Others, such as CUDA_VISIBLE_DEVICES, are set for other reasons.
      List<String> own =
          provider.settings().stream()
              .map(Setting::name)
              .filter(name -> name.startsWith("UCCL_") && !shared.contains(name))
              .filter(name -> !environment.getOrDefault(name, "").isBlank())
              .sorted()
              .toList();
      Availability why = availability(provider);
      if (provider.priority() > 0 && !own.isEmpty()) {
        warnings.add(
            "transport "
                + chosen.name()
                + " is used, though "
                + String.join(", ", own)
                + (own.size() == 1 ? " is" : " are")
                + " set, since "
                + provider.name()
                + " cannot work here: "
                + why.detail()
                + ". "
                + why.remedy());
      }
    }
    return warnings;
  }

  private EnvironmentCheck.Mistake unknown(String name) {
    String lower = name.toLowerCase(Locale.ROOT);
    String who =
        namedBy.equals(EngineSettings.TRANSPORT.name())
            ? namedBy + "='" + name + "'"
            : "'" + name + "', named by the program,";
    Nearest reference = REFERENCE_ONLY.get(lower);
    if (reference != null) {
      return new EnvironmentCheck.Mistake(
          who
              + " is a transport of the C++ engine that does not exist here; the nearest is "
              + reference.name()
              + " ("
              + reference.reason()
              + ")",
          "Name " + reference.name() + ", or one of " + found(),
          null);
    }
    List<String> all = new ArrayList<>();
    discovery.providers().forEach(provider -> all.addAll(names(provider)));
    String nearest =
        NearestName.of(lower, all, Math.max(1, lower.length() / 3))
            .map(near -> "Did you mean " + near + "? ")
            .orElse("");
    return new EnvironmentCheck.Mistake(
        who + " is not a transport that was found; found: " + found(),
        nearest + "Name one of these, or add the transport's jar to the class path",
        null);
  }

  private String found() {
    List<String> found = new ArrayList<>();
    for (TransportProvider provider : discovery.providers()) {
      found.add(
          provider.name()
              + (provider.aliases().isEmpty()
                  ? ""
                  : " (" + String.join(", ", provider.aliases()) + ")"));
    }
    for (TransportDiscovery.Broken broken : discovery.broken()) {
      found.add(broken.name() + " (broken: " + broken.reason() + ")");
    }
    return found.isEmpty() ? "none" : found.stream().collect(Collectors.joining(", "));
  }
}
