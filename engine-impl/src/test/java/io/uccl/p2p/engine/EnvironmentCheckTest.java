package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.Setting;
import io.uccl.p2p.spi.TransportProvider;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EnvironmentCheckTest {

  private static final List<TransportProvider> FOUND =
      List.of(
          new PlantedTransport.Fabric(), new PlantedTransport.Verbs(), new PlantedTransport.Tcp());

  @Test
  void whatIsDeclaredAndLegalPasses() {
    EnvironmentCheck check =
        check(
            Map.of(
                "UCCL_P2P_TRANSPORT", "tcp",
                "UCCL_P2P_MAX_INFLIGHT_OPS", "256",
                "UCCL_CXI_DEPTH", "64",
                "UCCL_P2P_RDMA_SL", "15",
                "UCCL_TCP_DATA_PORT", "4711",
                "UCCL_LIBFABRIC_SO", "/opt/libfabric.so"));
    assertThat(check.mistakes()).isEmpty();
    assertThat(check.warnings()).isEmpty();
    assertThatCode(check::throwIfWrong).doesNotThrowAnyException();
  }

  @Test
  void aWrongValueIsAMistakeAlsoOfATransportThatWasNotChosen() {
    EnvironmentCheck check = check(Map.of("UCCL_P2P_TRANSPORT", "tcp", "UCCL_P2P_RDMA_SL", "16"));
    assertThatThrownBy(check::throwIfWrong)
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            "UCCL_P2P_RDMA_SL='16' cannot be used: a number from 0 to 15 is expected. Correct or"
                + " unset UCCL_P2P_RDMA_SL (service level)")
        .hasCauseInstanceOf(ConfigurationException.class);
  }

  @Test
  void aWrongValueOfTheEnginesOwnIsAMistake() {
    assertThat(check(Map.of("UCCL_P2P_DISABLE_IPC", "true")).mistakes())
        .singleElement()
        .extracting(EnvironmentCheck.Mistake::summary)
        .isEqualTo("UCCL_P2P_DISABLE_IPC='true' cannot be used: 0 or 1 is expected");
  }

  @Test
  void aVariableThatTwoTransportsDeclareIsReportedOnce() {
    assertThat(check(Map.of("UCCL_CXI_DEPTH", "65")).mistakes()).hasSize(1);
  }

  @Test
  void aParserThatThrowsSomethingElseStillGivesAMistake() {
    Setting<String> setting =
        new Setting<>(
            "ACME_MODE",
            "mode",
            "none",
            "a mode",
            "",
            text -> {
              throw new IllegalStateException("broken parser");
            });
    EnvironmentCheck check =
        EnvironmentCheck.of(Map.of("ACME_MODE", "x"), List.of(new Declaring(List.of(setting))));
    assertThatThrownBy(check::throwIfWrong)
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            "ACME_MODE='x' cannot be used: a mode is expected. Correct or unset ACME_MODE (mode)")
        .hasCauseInstanceOf(IllegalStateException.class);
  }

  @ParameterizedTest
  @CsvSource({
    "UCCL_P2P_TRASPORT, UCCL_P2P_TRANSPORT",
    "UCCL_P2P_TARNSPORT, UCCL_P2P_TRANSPORT",
    "UCCL_P2P_MAX_INFLIGHT, UCCL_P2P_MAX_INFLIGHT_OPS",
    "UCCL_TCP_CONTROL_PORT, UCCL_P2P_CONTROL_PORT",
    "UCCL_CXI_DEPHT, UCCL_CXI_DEPTH",
    "UCCL_TCP_DATAPORT, UCCL_TCP_DATA_PORT",
  })
  void anUnknownNameUnderAPrefixIsAMistakeWithTheNearestName(String name, String nearest) {
    assertThatThrownBy(check(Map.of(name, "1"))::throwIfWrong)
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            name
                + " is not a variable that is known here; the nearest is "
                + nearest
                + ". Rename or unset "
                + name);
  }

  @ParameterizedTest
  @ValueSource(strings = {"UCCL_P2P_COLOUR", "UCCL_CXI_X", "UCCL_TCP_", "UCCL_P2P_transport"})
  void nothingIsSuggestedWhenNothingIsNear(String name) {
    assertThatThrownBy(check(Map.of(name, "1"))::throwIfWrong)
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            name
                + " is not a variable that is known here. Unset "
                + name
                + ", or add the transport that reads it to the class path");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "UCCL_IBV_SO_PATH",
        "UCCL_P2P",
        "UCCL_EP_CPU_TIMEOUT_SECS",
        "UCCL_RDMA_ADAPTIVE_SLEEP",
        "NCCL_SOCKET_IFNAME",
        "P2P_JDK25",
        "MY_UCCL_P2P_THING",
        "uccl_p2p_transport"
      })
  void namesOutsideThePrefixesAreNotOurs(String name) {
    EnvironmentCheck check = check(Map.of(name, "anything"));
    assertThat(check.mistakes()).isEmpty();
    assertThat(check.warnings()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "UCCL_P2P_COMPRESS_STRATEGY",
        "UCCL_P2P_COMPRESS_BUFFER_BYTES",
        "UCCL_P2P_COMPRESS_SOMETHING_NEWER",
        "UCCL_P2P_MIN_COMPRESS_BYTES",
        "UCCL_P2P_RDMA_CC",
        "UCCL_P2P_RDMA_LINK_GBPS",
        "UCCL_P2P_MODE",
        "UCCL_TCP_OOB_PORT"
      })
  void aNameThatOnlyTheReferenceReadsGivesOneWarningEach(String name) {
    EnvironmentCheck check = check(Map.of(name, "1"));
    assertThat(check.mistakes()).isEmpty();
    assertThat(check.warnings())
        .singleElement()
        .asString()
        .startsWith(name + " is of the C++ engine and has no effect here: ");
  }

  @ParameterizedTest
  @ValueSource(strings = {"UCCL_P2P_RDMA_CCC", "UCCL_P2P_COMPRESS", "UCCL_TCP_OOB_PORTS"})
  void aNameThatOnlyResemblesOneOfTheReferencesIsAMistake(String name) {
    assertThat(check(Map.of(name, "1")).mistakes()).hasSize(1);
  }

  @Test
  void warningsComeInTheOrderOfTheirNames() {
    assertThat(check(Map.of("UCCL_TCP_OOB_PORT", "1", "UCCL_P2P_RDMA_CC", "swift")).warnings())
        .containsExactly(
            "UCCL_P2P_RDMA_CC is of the C++ engine and has no effect here: congestion control is"
                + " left to the network here",
            "UCCL_TCP_OOB_PORT is of the C++ engine and has no effect here: the control channel's"
                + " port is UCCL_P2P_CONTROL_PORT here");
  }

  @Test
  void anEmptyVariableCountsAsUnsetWhateverItsName() {
    EnvironmentCheck check =
        check(
            Map.of(
                "UCCL_P2P_DISABLE_IPC", "",
                "UCCL_P2P_NONSENSE", " ",
                "UCCL_P2P_RDMA_CC", ""));
    assertThat(check.mistakes()).isEmpty();
    assertThat(check.warnings()).isEmpty();
  }

  @Test
  void aVariableThatATransportDeclaresIsKnownOnlyWhenItWasFound() {
    Map<String, String> environment = Map.of("UCCL_TCP_DATA_PORT", "4711");
    assertThat(EnvironmentCheck.of(environment, FOUND).mistakes()).isEmpty();
    assertThat(EnvironmentCheck.of(environment, List.of()).mistakes()).hasSize(1);
  }

  @Test
  void allMistakesAreReportedOnOneLine() {
    EnvironmentCheck check =
        check(
            Map.of(
                "UCCL_P2P_DISABLE_IPC", "2",
                "UCCL_TCP_DATA_PORT", "one\ntwo",
                "UCCL_P2P_TRASPORT", "tcp"));
    assertThatThrownBy(check::throwIfWrong)
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            "3 mistakes: UCCL_P2P_DISABLE_IPC='2' cannot be used: 0 or 1 is expected;"
                + " UCCL_TCP_DATA_PORT='one two' cannot be used: a number from 0 to 65535 is"
                + " expected; UCCL_P2P_TRASPORT is not a variable that is known here; the nearest"
                + " is UCCL_P2P_TRANSPORT. Correct or unset UCCL_P2P_DISABLE_IPC (1: same-host"
                + " peers use the network transport too); Correct or unset UCCL_TCP_DATA_PORT (data"
                + " port); Rename or unset UCCL_P2P_TRASPORT")
        .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
  }

  @Test
  void twoTransportsOfOneNameAreAMistakeThatNamesBothClasses() {
    EnvironmentCheck check =
        EnvironmentCheck.of(
            Map.of(), List.of(new PlantedTransport.Tcp(), new Named("TCP", List.of())));
    assertThatThrownBy(check::throwIfWrong)
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            "two transports are named 'tcp': "
                + PlantedTransport.Tcp.class.getName()
                + " and "
                + Named.class.getName()
                + ". Take the jar of one of them off the class path");
  }

  @Test
  void anAliasThatIsAnothersNameOrAliasIsAMistake() {
    assertThat(
            EnvironmentCheck.of(
                    Map.of(),
                    List.of(
                        new PlantedTransport.Tcp(),
                        new PlantedTransport.Verbs(),
                        new Named("mine", List.of("tcp", "IB"))))
                .mistakes())
        .extracting(EnvironmentCheck.Mistake::summary)
        .containsExactly(
            "two transports are named 'tcp': "
                + PlantedTransport.Tcp.class.getName()
                + " and "
                + Named.class.getName(),
            "two transports are named 'ib': "
                + PlantedTransport.Verbs.class.getName()
                + " and "
                + Named.class.getName());
  }

  @Test
  void aTransportMayRepeatItsNameAmongItsAliases() {
    assertThat(
            EnvironmentCheck.of(Map.of(), List.of(new Named("mine", List.of("mine", "Mine"))))
                .mistakes())
        .isEmpty();
  }

  private static EnvironmentCheck check(Map<String, String> environment) {
    return EnvironmentCheck.of(environment, FOUND);
  }

  private static final class Named extends PlantedTransport {
    private Named(String name, List<String> aliases) {
      super(name, aliases, 0, List.of(), Availability.available(""));
    }
  }

  private static final class Declaring extends PlantedTransport {
    private Declaring(List<Setting<?>> settings) {
      super("declaring", List.of(), 0, settings, Availability.available(""));
    }
  }
}
