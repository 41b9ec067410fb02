package io.uccl.p2p.engine;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportProvider;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Finds everything that is wrong with an environment, and with what the transports declare, before
 * anything is opened.
 *
 * <ul>
 *   <li>A value that a declared variable may not hold is a mistake, also if the transport that
 *       declares it is not the chosen one: a job script is then wrong on every machine, not only on
 *       the one that has the network.
 *   <li>A name under {@link #PREFIXES} that nobody declares is a mistake: most likely a misspelt
 *       one, whose setting would silently have no effect.
 *   <li>Except the names that the C++ UCCL P2P engine reads and that mean nothing here ({@link
 *       #REFERENCE_ONLY}): a script that serves both may set them, and gets one warning for each.
 *   <li>An empty variable counts as unset, whatever its name. Names outside the prefixes are
 *       somebody else's.
 *   <li>Two transports may not share a name or an alias. They may declare the same variable.
 * </ul>
 */
final class EnvironmentCheck {

  /** Beginnings of names that belong to the engine and its transports alone. */
  static final List<String> PREFIXES = List.of("UCCL_P2P_", "UCCL_CXI_", "UCCL_TCP_");

  /**
   * What the C++ engine reads and this one does not, and why. A name that ends with {@code *}
   * stands for all that begin like it. Taken from the {@code getenv} calls in that engine's folder
   * {@code p2p} and in the benchmarks that run it.
   */
  static final Map<String, String> REFERENCE_ONLY =
      Map.of(
          "UCCL_P2P_COMPRESS_*", "there is no compression here",
          "UCCL_P2P_MIN_COMPRESS_BYTES", "there is no compression here",
          "UCCL_P2P_RDMA_CC", "congestion control is left to the network here",
          "UCCL_P2P_RDMA_LINK_GBPS", "congestion control is left to the network here",
          "UCCL_P2P_MODE", "only a benchmark of the C++ engine reads it",
          "UCCL_P2P_TCP_IFNAME", "the network interface is UCCL_SOCKET_IFNAME here",
          "UCCL_P2P_TCP_THREADS", "who waits moves the bytes here",
          "UCCL_TCP_OOB_PORT", "the control channel's port is UCCL_P2P_CONTROL_PORT here");

  private final List<Mistake> mistakes;
  private final List<String> warnings;

  private EnvironmentCheck(Collection<Mistake> mistakes, List<String> warnings) {
    this.mistakes = List.copyOf(mistakes);
    this.warnings = List.copyOf(warnings);
  }

  /**
   * Something wrong.
   *
   * @param summary what, without its full stop
   * @param remedy what to do, without its full stop
   * @param cause what the parser of a value threw, or null
   */
  record Mistake(String summary, String remedy, @Nullable Throwable cause) {

    /** Keeps both on one line, whatever a variable holds. */
    Mistake {
      summary = OneLine.of(summary);
      remedy = OneLine.of(remedy);
    }
  }

  /**
   * Looks at all of it; throws nothing.
   *
   * @param environment the variables
   * @param providers every transport that was found, each of a class of its own
   */
  static EnvironmentCheck of(Map<String, String> environment, List<TransportProvider> providers) {
    Set<Mistake> mistakes = new LinkedHashSet<>();
    List<String> warnings = new ArrayList<>();
    sharedNames(providers, mistakes);

    List<Setting<?>> settings = new ArrayList<>(EngineSettings.ALL);
    providers.forEach(provider -> settings.addAll(provider.settings()));
    Map<String, Mistake> wrongValues = new LinkedHashMap<>();
    for (Setting<?> setting : settings) {
      wrongValue(setting, environment)
          .ifPresent(mistake -> wrongValues.putIfAbsent(mistake.summary(), mistake));
    }
    mistakes.addAll(wrongValues.values());

    Set<String> known = settings.stream().map(Setting::name).collect(Collectors.toSet());
    for (Map.Entry<String, String> variable : new TreeMap<>(environment).entrySet()) {
      String name = variable.getKey();
      if (variable.getValue().isBlank() || known.contains(name) || !isOurs(name)) {
        continue;
      }
      Optional<String> noMeaning = noMeaning(name);
      if (noMeaning.isPresent()) {
        warnings.add(
            name + " is of the C++ engine and has no effect here: " + noMeaning.orElseThrow());
      } else {
        mistakes.add(unknownName(name, known));
      }
    }
    return new EnvironmentCheck(mistakes, warnings);
  }

  /** What is wrong, in a fixed order. */
  List<Mistake> mistakes() {
    return mistakes;
  }

  /** One line for each variable that has no effect here. */
  List<String> warnings() {
    return warnings;
  }

  /** The same with one more mistake. */
  EnvironmentCheck and(Mistake mistake) {
    List<Mistake> more = new ArrayList<>(mistakes);
    more.add(mistake);
    return new EnvironmentCheck(more, warnings);
  }

  /**
   * Reports all mistakes at once, on one line.
   *
   * @throws ConfigurationException if there are any
   */
  void throwIfWrong() {
    if (mistakes.isEmpty()) {
      return;
    }
    String summary = mistakes.stream().map(Mistake::summary).collect(Collectors.joining("; "));
    String remedy =
        mistakes.stream().map(Mistake::remedy).distinct().collect(Collectors.joining("; "));
    ConfigurationException failure =
        new ConfigurationException(
            mistakes.size() == 1 ? summary : mistakes.size() + " mistakes: " + summary,
            FailureDetail.remedy(remedy),
            mistakes.get(0).cause());
    for (Mistake mistake : mistakes.subList(1, mistakes.size())) {
      if (mistake.cause() != null) {
        failure.addSuppressed(mistake.cause());
      }
    }
    throw failure;
  }

  private static void sharedNames(List<TransportProvider> providers, Collection<Mistake> into) {
    Map<String, TransportProvider> owners = new LinkedHashMap<>();
    for (TransportProvider provider : providers) {
      Set<String> names = new LinkedHashSet<>();
      names.add(provider.name().toLowerCase(Locale.ROOT));
      provider.aliases().forEach(alias -> names.add(alias.toLowerCase(Locale.ROOT)));
      for (String name : names) {
        TransportProvider other = owners.putIfAbsent(name, provider);
        if (other != null) {
          into.add(
              new Mistake(
                  "two transports are named '"
                      + name
                      + "': "
                      + other.getClass().getName()
                      + " and "
                      + provider.getClass().getName(),
                  "Take the jar of one of them off the class path",
                  null));
        }
      }
    }
  }

  private static Optional<Mistake> wrongValue(Setting<?> setting, Map<String, String> environment) {
    try {
      setting.in(environment);
      return Optional.empty();
    } catch (ConfigurationException e) {
      return Optional.of(new Mistake(e.summary(), e.detail().remedy(), e));
    } catch (RuntimeException e) {
      // A third party's parser that throws something else than it may.
      return Optional.of(
          new Mistake(
              setting.name()
                  + "='"
                  + environment.get(setting.name())
                  + "' cannot be used: "
                  + setting.expected()
                  + " is expected",
              "Correct or unset " + setting.name() + " (" + setting.meaning() + ")",
              e));
    }
  }

  private static boolean isOurs(String name) {
    return PREFIXES.stream().anyMatch(name::startsWith);
  }

  private static Optional<String> noMeaning(String name) {
    for (Map.Entry<String, String> known : REFERENCE_ONLY.entrySet()) {
      String pattern = known.getKey();
      boolean all = pattern.endsWith("*");
      if (all
          ? name.startsWith(pattern.substring(0, pattern.length() - 1))
          : name.equals(pattern)) {
        return Optional.of(known.getValue());
      }
    }
    return Optional.empty();
  }

  /** Near is what differs in at most a third of what follows the prefix. */
  private static Mistake unknownName(String name, Set<String> known) {
    int edits = Math.max(1, (name.length() - PREFIXES.get(0).length()) / 3);
    return NearestName.of(name, known, edits)
        .map(
            nearest ->
                new Mistake(
                    name + " is not a variable that is known here; the nearest is " + nearest,
                    "Rename or unset " + name,
                    null))
        .orElseGet(
            () ->
                new Mistake(
                    name + " is not a variable that is known here",
                    "Unset " + name + ", or add the transport that reads it to the class path",
                    null));
  }
}
