package io.uccl.p2p.engine;

import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.TransportChoice;
import io.uccl.p2p.spi.EngineProvider;
import io.uccl.p2p.spi.Setting;
import java.util.List;

/** Makes the engines of this module. */
public final class DefaultEngineProvider implements EngineProvider {

  /** For {@link java.util.ServiceLoader}. */
  public DefaultEngineProvider() {}

  @Override
  public P2pEngine open(EngineConfig config) {
    return DefaultP2pEngine.open(config);
  }

  @Override
  public List<Setting<?>> settings() {
    return EngineSettings.ALL;
  }

  @Override
  public TransportChoice choose(EngineConfig config) {
    return TransportSelector.select(config).choice();
  }
}
