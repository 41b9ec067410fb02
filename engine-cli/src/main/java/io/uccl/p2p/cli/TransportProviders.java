package io.uccl.p2p.cli;

import io.uccl.p2p.spi.TransportProvider;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;

/**
 * The transports on the class path or module path.
 *
 * @param found those that could be loaded
 * @param broken why others could not
 */
record TransportProviders(List<TransportProvider> found, List<ServiceConfigurationError> broken) {

  static TransportProviders load() {
    List<TransportProvider> found = new ArrayList<>();
    List<ServiceConfigurationError> broken = new ArrayList<>();
    Iterator<ServiceLoader.Provider<TransportProvider>> providers =
        ServiceLoader.load(TransportProvider.class).stream().iterator();
    boolean more = true;
    while (more) {
      try {
        more = providers.hasNext();
        if (more) {
          found.add(providers.next().get());
        }
      } catch (ServiceConfigurationError e) {
        broken.add(e);
      }
    }
    return new TransportProviders(found, broken);
  }
}
