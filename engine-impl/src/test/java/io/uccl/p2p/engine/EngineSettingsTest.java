package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EngineSettingsTest {

  @Test
  void listsEveryVariableThatTheEngineReads() {
    assertThat(EngineSettings.ALL)
        .extracting(setting -> (Object) setting.name())
        .containsExactly(
            "UCCL_P2P_TRANSPORT",
            "UCCL_P2P_DISABLE_IPC",
            "UCCL_P2P_MAX_INFLIGHT_OPS",
            "UCCL_P2P_LOG_LEVEL",
            "UCCL_SOCKET_IFNAME",
            "UCCL_P2P_CONTROL_PORT");
  }

  @Test
  void unsetVariablesHaveTheirDefaults() {
    Map<String, String> nothing = Map.of();
    assertThat(EngineSettings.TRANSPORT.in(nothing)).isEmpty();
    assertThat(EngineSettings.DISABLE_IPC.in(nothing)).isFalse();
    assertThat(EngineSettings.MAX_INFLIGHT_OPS.in(nothing)).isEmpty();
    assertThat(EngineSettings.LOG_LEVEL.in(nothing)).isEqualTo("WARNING");
    assertThat(EngineSettings.SOCKET_IFNAME.in(nothing)).isEmpty();
    assertThat(EngineSettings.CONTROL_PORT.in(nothing)).isEqualTo(0);
  }

  @ParameterizedTest
  @CsvSource({
    "INFO, INFO",
    "info, INFO",
    "3, INFO",
    "WARNING, WARNING",
    "WARN, WARNING",
    "warn, WARNING",
    "2, WARNING",
    "ERROR, ERROR",
    "1, ERROR",
    "FATAL, FATAL",
    "Fatal, FATAL",
    "0, FATAL",
  })
  void logLevelsAreTakenInEverySpellingOfTheReference(String text, String level) {
    assertThat(EngineSettings.LOG_LEVEL.in(Map.of("UCCL_P2P_LOG_LEVEL", text))).isEqualTo(level);
  }

  @ParameterizedTest
  @CsvSource({
    "UCCL_P2P_DISABLE_IPC, yes, 0 or 1",
    "UCCL_P2P_MAX_INFLIGHT_OPS, 0, a number from 1 to 256",
    "UCCL_P2P_MAX_INFLIGHT_OPS, 257, a number from 1 to 256",
    "UCCL_P2P_MAX_INFLIGHT_OPS, many, a number from 1 to 256",
    "UCCL_P2P_LOG_LEVEL, DEBUG, 'one of INFO, WARNING, ERROR, FATAL'",
    "UCCL_P2P_LOG_LEVEL, 4, 'one of INFO, WARNING, ERROR, FATAL'",
    "UCCL_P2P_CONTROL_PORT, -1, a number from 0 to 65535",
    "UCCL_P2P_CONTROL_PORT, 65536, a number from 0 to 65535",
  })
  void aWrongValueNamesTheVariableTheValueAndWhatIsExpected(
      String name, String value, String expected) {
    Setting<?> setting =
        EngineSettings.ALL.stream()
            .filter(each -> each.name().equals(name))
            .findFirst()
            .orElseThrow();
    assertThatThrownBy(() -> setting.in(Map.of(name, value)))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining(name + "='" + value + "' cannot be used: " + expected);
  }

  @Test
  void operationsInFlightAreTheTransportsUnlessTheEnvironmentSays() {
    assertThat(EngineSettings.maxInflightOperations(Map.of(), preferring(32))).isEqualTo(32);
    assertThat(
            EngineSettings.maxInflightOperations(
                Map.of("UCCL_P2P_MAX_INFLIGHT_OPS", "7"), preferring(32)))
        .isEqualTo(7);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 257})
  void aTransportThatPrefersAnImpossibleNumberIsNamed(int number) {
    assertThatThrownBy(() -> EngineSettings.maxInflightOperations(Map.of(), preferring(number)))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining(
            Preferring.class.getName()
                + " declares "
                + number
                + " operations in flight: a number from 1 to 256 is expected");
  }

  private static Preferring preferring(int operations) {
    return new Preferring(operations);
  }

  private static final class Preferring extends PlantedTransport {
    private final int operations;

    private Preferring(int operations) {
      super("preferring", List.of(), 1, List.of(), Availability.available(""));
      this.operations = operations;
    }

    @Override
    public int defaultInflightOperations() {
      return operations;
    }
  }
}
