package io.uccl.p2p.cli;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.spi.Setting;
import java.util.List;
import java.util.Map;

/** {@code UCCL_P2P_LOG_LEVEL}: how much the SLF4J back end writes to stderr. */
final class LogLevel {

  static final Setting<String> SETTING =
      Setting.choice(
          "UCCL_P2P_LOG_LEVEL",
          "least severe message that the command line tool logs",
          "WARNING",
          List.of("INFO", "WARNING", "ERROR", "FATAL"));

  private static final String PROPERTY = "org.slf4j.simpleLogger.defaultLogLevel";

  private LogLevel() {}

  /**
   * Sets the back end's level. Works only before the first logger is made. A level that was given
   * to the JVM as the back end's own property stays.
   *
   * @throws ConfigurationException if the variable holds no level
   */
  static void apply(Map<String, String> environment) {
    String level = backEndLevel(SETTING.in(environment));
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
      default -> "warn";
    };
  }
}
