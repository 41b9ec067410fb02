package io.uccl.p2p.spi;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.TransportUnavailableException;
import java.util.List;
import java.util.ServiceLoader;

/**
 * Makes engines; found by {@link ServiceLoader}, so that the API does not know its implementation.
 */
public interface EngineProvider {

  /** Opens an engine, see {@link P2pEngine#open(EngineConfig)} for the errors. */
  P2pEngine open(EngineConfig config);

  /**
   * Every environment variable that the engine itself reads. What the transports read is in {@link
   * TransportProvider#settings()}.
   */
  List<Setting<?>> settings();

  /**
   * Says which transport {@link #open} would take, and why, without opening it.
   *
   * @throws ConfigurationException as {@link #open} does
   * @throws TransportUnavailableException as {@link #open} does
   */
  TransportChoice choose(EngineConfig config);

  /**
   * The first provider that the context class loader or this class's own loader finds.
   *
   * @throws ConfigurationException if there is none
   */
  static EngineProvider load() {
    return ServiceLoader.load(EngineProvider.class)
        .findFirst()
        .or(
            () ->
                ServiceLoader.load(EngineProvider.class, EngineProvider.class.getClassLoader())
                    .findFirst())
        .orElseThrow(
            () ->
                new ConfigurationException(
                    "no engine implementation is on the class path or module path",
                    FailureDetail.remedy("Add the artifact io.uccl.p2p:engine-impl")));
  }
}
