package io.uccl.p2p.engine;

import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportProvider;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * Finds the transports on the class path and module path, and keeps one that is broken from hiding
 * the others.
 *
 * @param providers those that can be asked, by falling priority, then by name; one of each class
 * @param broken those that cannot, in the order in which they were met
 */
record TransportDiscovery(List<TransportProvider> providers, List<Broken> broken) {

  /** How {@link ServiceLoader} names a provider that it could not load at all. */
  private static final Pattern NAMED_IN_ERROR =
      Pattern.compile("TransportProvider: (?:Provider |class )?((?:\\w+\\.)+[\\w$]+) ");

  /** Copies and orders. */
  TransportDiscovery {
    providers =
        providers.stream()
            .sorted(
                Comparator.comparingInt(TransportProvider::priority)
                    .reversed()
                    .thenComparing(TransportProvider::name))
            .toList();
    broken = List.copyOf(broken);
  }

  /**
   * A provider that cannot be used.
   *
   * @param name its class, or where it was named if even that is not known
   * @param reason one sentence without its full stop
   */
  record Broken(String name, String reason) {}

  /**
   * Looks with the calling thread's context class loader, then with the engine's own. A class that
   * both find, even as two copies, counts once.
   */
  static TransportDiscovery find() {
    return find(
        Thread.currentThread().getContextClassLoader(), TransportDiscovery.class.getClassLoader());
  }

  /** Looks with two class loaders, in this order; the first may be missing. */
  static TransportDiscovery find(@Nullable ClassLoader context, @Nullable ClassLoader own) {
    Map<String, TransportProvider> found = new LinkedHashMap<>();
    Map<String, Broken> broken = new LinkedHashMap<>();
    if (context != null && context != own) {
      load(ServiceLoader.load(TransportProvider.class, context), found, broken);
    }
    load(ServiceLoader.load(TransportProvider.class, own), found, broken);
    // What one class loader could not load and the other could is not broken.
    broken.keySet().removeAll(found.keySet());
    return new TransportDiscovery(
        new ArrayList<>(found.values()), new ArrayList<>(broken.values()));
  }

  /** Takes providers as they are; those whose constants throw become broken. */
  static TransportDiscovery of(List<TransportProvider> providers) {
    Map<String, TransportProvider> found = new LinkedHashMap<>();
    Map<String, Broken> broken = new LinkedHashMap<>();
    providers.forEach(provider -> add(provider, found, broken));
    return new TransportDiscovery(
        new ArrayList<>(found.values()), new ArrayList<>(broken.values()));
  }

  private static void load(
      ServiceLoader<TransportProvider> loader,
      Map<String, TransportProvider> found,
      Map<String, Broken> broken) {
    Iterator<ServiceLoader.Provider<TransportProvider>> providers = loader.stream().iterator();
    Set<String> failures = new HashSet<>();
    while (true) {
      ServiceLoader.Provider<TransportProvider> next;
      try {
        if (!providers.hasNext()) {
          return;
        }
        next = providers.next();
      } catch (ServiceConfigurationError | LinkageError e) {
        // A file that cannot be read or names a class that is not there. The iterator goes on
        // behind it; if it fails in the same way again, it does not.
        String reason = OneLine.of(e);
        if (!failures.add(reason)) {
          return;
        }
        Matcher named = NAMED_IN_ERROR.matcher(reason);
        if (named.find()) {
          broken.putIfAbsent(named.group(1), new Broken(named.group(1), reason));
        } else {
          broken.putIfAbsent(reason, new Broken("META-INF/services", reason));
        }
        continue;
      }
      String name = next.type().getName();
      if (found.containsKey(name)) {
        continue;
      }
      try {
        add(next.get(), found, broken);
      } catch (ServiceConfigurationError | LinkageError e) {
        broken.putIfAbsent(name, new Broken(name, because(e)));
      }
    }
  }

  /** Asks for every constant once, so that nobody else meets a provider that fails to answer. */
  private static void add(
      TransportProvider provider,
      Map<String, TransportProvider> found,
      Map<String, Broken> broken) {
    String name = provider.getClass().getName();
    try {
      requireText(provider.name());
      provider.aliases().forEach(TransportDiscovery::requireText);
      for (Setting<?> setting : provider.settings()) {
        Objects.requireNonNull(setting);
      }
      provider.priority();
      provider.handshakeMagic();
      provider.defaultInflightOperations();
    } catch (RuntimeException | LinkageError e) {
      broken.putIfAbsent(name, new Broken(name, "its declarations fail: " + OneLine.of(e)));
      return;
    }
    found.putIfAbsent(name, provider);
  }

  private static void requireText(String name) {
    if (name.isBlank()) {
      throw new IllegalArgumentException("a name is empty");
    }
  }

  /** The loader's own error only says that a constructor failed; the cause says why. */
  private static String because(Throwable error) {
    Throwable cause = error.getCause();
    return cause == null ? OneLine.of(error) : "it could not be instantiated: " + OneLine.of(cause);
  }
}
