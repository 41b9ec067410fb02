package io.uccl.p2p.cli;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.spi.EngineProvider;
import java.util.Map;

/** {@code UCCL_P2P_LOG_LEVEL}: how much the SLF4J back end writes to stderr. */
final class LogLevel {

  private static final String VARIABLE = "UCCL_P2P_LOG_LEVEL";
  private static final String PROPERTY = "org.slf4j.simpleLogger.defaultLogLevel";

  private static final String DEFAULT = "warn";

  private LogLevel() {}

  /**
   * Sets the back end's level. Works only before the first logger is made. A level that was given
   * to the JVM as the back end's own property stays.
   *
   * @throws ConfigurationException if the variable holds no level
   */
  static void apply(Map<String, String> environment) {
    // The engine declares the variable, with all the spellings of it.
    String level =
        EngineProvider.load().settings().stream()
            .filter(setting -> setting.name().equals(VARIABLE))
            .map(setting -> backEndLevel(setting.in(environment).toString()))
            .findFirst()
            .orElse(DEFAULT);
    if (System.getProperty(PROPERTY) == null) {
      System.setProperty(PROPERTY, level);
    }
  }

  /** SLF4J has no level above error, so FATAL shows nothing. */
  static String backEndLevel(String level) {
    return switch (level) {
      case "INFO" -> "info";
      case "ERROR" -> "error";
      case "FATAL" -> "off";
      default -> DEFAULT;
    };
  }
}
