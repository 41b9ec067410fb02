package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.ConfigurationException;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.TransportChoice.Candidate;
import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.engine.TransportSelector.Selection;
import io.uccl.p2p.spi.Availability;
import io.uccl.p2p.spi.TransportProvider;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TransportSelectorTest {

  private static final TransportProvider FABRIC = new PlantedTransport.Fabric();
  private static final TransportProvider VERBS = new PlantedTransport.Verbs();
  private static final TransportProvider TCP = new PlantedTransport.Tcp();
  private static final TransportProvider ACME = new PlantedTransport.Acme();

  @Test
  void unsetTheBestAvailableIsTakenAndTheReasonSaysWhyNoBetterOne() {
    Selection selection = select(Map.of(), TCP, VERBS, FABRIC);
    assertThat(selection.provider()).isSameAs(TCP);
    assertThat(selection.choice().name()).isEqualTo("tcp");
    assertThat(selection.choice().reason())
        .isEqualTo("the best available; fabric: no card; rdma: no verbs");
    assertThat(selection.warnings()).isEmpty();
  }

  @Test
  void unsetAHigherPriorityWins() {
    TransportProvider fabric = new PlantedTransport.Fabric(Availability.available("a card"));
    Selection selection = select(Map.of(), TCP, fabric);
    assertThat(selection.provider()).isSameAs(fabric);
    assertThat(selection.choice().reason()).isEqualTo("the best available");
  }

  @Test
  void anEmptyVariableCountsAsUnset() {
    assertThat(select(Map.of("UCCL_P2P_TRANSPORT", " "), TCP).choice().reason())
        .isEqualTo("the best available");
  }

  @ParameterizedTest
  @CsvSource({
    "tcp, UCCL_P2P_TRANSPORT=tcp",
    "TCP, UCCL_P2P_TRANSPORT=TCP",
    "' tcp ', UCCL_P2P_TRANSPORT=tcp",
  })
  void theEnvironmentNamesATransportInAnyCase(String value, String reason) {
    TransportProvider fabric = new PlantedTransport.Fabric(Availability.available("a card"));
    Selection selection = select(Map.of("UCCL_P2P_TRANSPORT", value), fabric, TCP);
    assertThat(selection.provider()).isSameAs(TCP);
    assertThat(selection.choice().reason()).isEqualTo(reason);
  }

  @ParameterizedTest
  @ValueSource(strings = {"ib", "verbs", "Verbs"})
  void anAliasNamesATransportToo(String alias) {
    TransportProvider verbs = new PlantedTransport.Verbs(Availability.available("mlx5_0"));
    Selection selection = select(Map.of("UCCL_P2P_TRANSPORT", alias), verbs, TCP);
    assertThat(selection.provider()).isSameAs(verbs);
    assertThat(selection.choice().name()).isEqualTo("rdma");
    assertThat(selection.choice().reason())
        .isEqualTo("UCCL_P2P_TRANSPORT=" + alias + ", another name of rdma");
  }

  @Test
  void theProgramBeatsTheEnvironmentWhateverThatHolds() {
    for (String beaten : List.of("fabric", "nonsense")) {
      Selection selection =
          TransportSelector.select(
              EngineConfig.of(Map.of("UCCL_P2P_TRANSPORT", beaten)).withTransport("tcp"),
              found(FABRIC, TCP));
      assertThat(selection.provider()).isSameAs(TCP);
      assertThat(selection.choice().reason())
          .isEqualTo("named by the program, which beats UCCL_P2P_TRANSPORT=" + beaten);
    }
    assertThat(
            TransportSelector.select(EngineConfig.of(Map.of()).withTransport("tcp"), found(TCP))
                .choice()
                .reason())
        .isEqualTo("named by the program");
  }

  @Test
  void anUnknownNameIsAnErrorThatSaysWhatWasFoundAndTheNearest() {
    assertThatThrownBy(() -> select(Map.of("UCCL_P2P_TRANSPORT", "tpc"), FABRIC, VERBS, TCP))
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            "UCCL_P2P_TRANSPORT='tpc' is not a transport that was found; found: fabric, rdma (ib,"
                + " verbs), tcp. Did you mean tcp? Name one of these, or add the transport's jar to"
                + " the class path");
  }

  @Test
  void anUnknownNameThatIsNearToNothingGetsNoSuggestion() {
    assertThatThrownBy(
            () ->
                TransportSelector.select(
                    EngineConfig.of(Map.of()).withTransport("quantum"), found(TCP)))
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            "'quantum', named by the program, is not a transport that was found; found: tcp. Name"
                + " one of these, or add the transport's jar to the class path");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", " "})
  void aProgramThatNamesNothingGetsAnError(String name) {
    assertThatThrownBy(
            () ->
                TransportSelector.select(EngineConfig.of(Map.of()).withTransport(name), found(TCP)))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageStartingWith("'', named by the program, is not a transport that was found");
  }

  @ParameterizedTest
  @CsvSource({
    "nccl, 'there, nccl and tcp are the same'",
    "TCPX, 'there, tcpx and tcp are the same'",
    "efa, 'rdma needs reliable connected queue pairs, which EFA does not have'",
  })
  void aTransportThatOnlyTheReferenceHasIsAnErrorThatNamesTheNearestHere(
      String name, String because) {
    assertThatThrownBy(() -> select(Map.of("UCCL_P2P_TRANSPORT", name), VERBS, TCP))
        .isInstanceOf(ConfigurationException.class)
        .hasMessage(
            "UCCL_P2P_TRANSPORT='"
                + name
                + "' is a transport of the C++ engine that does not exist here; the nearest is tcp"
                + " ("
                + because
                + "). Name tcp, or one of rdma (ib, verbs), tcp");
  }

  @Test
  void aThirdPartyMayHaveANameOfTheReference() {
    TransportProvider efa = new Renamed("efa", 0, Availability.available("efa cards"));
    assertThat(select(Map.of("UCCL_P2P_TRANSPORT", "efa"), TCP, efa).provider()).isSameAs(efa);
  }

  @Test
  void aNamedTransportThatCannotWorkIsAnErrorWithReasonAndRemedyNeverAnotherTransport() {
    assertThatThrownBy(() -> select(Map.of("UCCL_P2P_TRANSPORT", "ib"), VERBS, TCP))
        .isInstanceOf(TransportUnavailableException.class)
        .hasMessage(
            "rdma, UCCL_P2P_TRANSPORT=ib, cannot work here: no verbs; transport: rdma. Load the"
                + " driver");
  }

  @Test
  void aTransportWithoutPriorityIsNotTakenUnlessNamedAndIsListedAsSuch() {
    assertThatThrownBy(() -> select(Map.of(), ACME, VERBS))
        .isInstanceOf(TransportUnavailableException.class)
        .hasMessage(
            "no transport can be chosen here; rdma: no verbs; acme: acme cards (only when named:"
                + " UCCL_P2P_TRANSPORT=acme). rdma: Load the driver");
    Selection selection = select(Map.of("UCCL_P2P_TRANSPORT", "acme"), TCP, ACME);
    assertThat(selection.provider()).isSameAs(ACME);
    assertThat(selection.choice().candidates())
        .containsExactly(
            new Candidate("tcp", true, "sockets", ""),
            new Candidate(
                "acme", true, "acme cards (only when named: UCCL_P2P_TRANSPORT=acme)", ""));
  }

  @Test
  void aNegativePriorityMustBeNamedToo() {
    TransportProvider last = new Renamed("last", -1, Availability.available("something"));
    assertThat(select(Map.of(), last, TCP).provider()).isSameAs(TCP);
    assertThatThrownBy(() -> select(Map.of(), last))
        .isInstanceOf(TransportUnavailableException.class);
  }

  @Test
  void candidatesAreEverythingThatWasFoundBestFirst() {
    assertThat(
            select(Map.of("UCCL_P2P_TRANSPORT", "tcp"), TCP, FABRIC, VERBS).choice().candidates())
        .containsExactly(
            new Candidate("fabric", false, "no card", "Buy a card"),
            new Candidate("rdma", false, "no verbs", "Load the driver"),
            new Candidate("tcp", true, "sockets", ""));
  }

  @Test
  void whenNothingWasFoundTheErrorSaysWhatToAdd() {
    assertThatThrownBy(() -> select(Map.of()))
        .isInstanceOf(TransportUnavailableException.class)
        .hasMessage(
            "no transport was found. Add one to the class path or module path: transport-tcp works"
                + " on every machine");
    assertThatThrownBy(() -> select(Map.of("UCCL_P2P_TRANSPORT", "tcp")))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining(
            "UCCL_P2P_TRANSPORT='tcp' is not a transport that was found; found: none");
  }

  @Test
  void aProbeThatThrowsMakesItsTransportUnavailableAndHarmsNoOther() {
    for (Throwable failure :
        List.of(new IllegalStateException("boom\nbang"), new UnsatisfiedLinkError("no library"))) {
      Selection selection = select(Map.of(), new Failing(failure), TCP);
      assertThat(selection.provider()).isSameAs(TCP);
      String said = failure.toString().replace('\n', ' ');
      assertThat(selection.choice().candidates().get(0))
          .isEqualTo(
              new Candidate(
                  "failing",
                  false,
                  "its probe failed: " + said,
                  "Report it to the authors of " + Failing.class.getName()));
      assertThat(selection.choice().reason())
          .isEqualTo("the best available; failing: its probe failed: " + said);
    }
  }

  @Test
  void aProbeThatReturnsNothingMakesItsTransportUnavailable() {
    assertThat(select(Map.of(), new Renamed("silent", 500, null), TCP).choice().reason())
        .isEqualTo("the best available; silent: its probe returned nothing");
  }

  @Test
  void theProbeSeesTheEnvironment() {
    Map<String, String> environment = Map.of("UCCL_TCP_DATA_PORT", "4711");
    assertThat(select(environment, new Echo(), TCP).choice().candidates().get(0).detail())
        .startsWith("saw " + environment);
  }

  @Test
  void aWrongEnvironmentIsReportedTogetherWithAnUnknownTransport() {
    assertThatThrownBy(
            () -> select(Map.of("UCCL_P2P_TRANSPORT", "tcq", "UCCL_P2P_DISABLE_IPC", "maybe"), TCP))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageStartingWith("2 mistakes: UCCL_P2P_DISABLE_IPC='maybe' cannot be used: ")
        .hasMessageContaining("; UCCL_P2P_TRANSPORT='tcq' is not a transport that was found")
        .hasMessageContaining("Did you mean tcp?");
  }

  @Test
  void aWrongEnvironmentIsAnErrorAlsoWhenTheProgramNamesTheTransport() {
    assertThatThrownBy(
            () ->
                TransportSelector.select(
                    EngineConfig.of(Map.of("UCCL_CXI_DEPTH", "deep")).withTransport("tcp"),
                    found(FABRIC, TCP)))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageStartingWith("UCCL_CXI_DEPTH='deep' cannot be used");
  }

  @Test
  void warningsOfTheEnvironmentComeWithTheSelection() {
    assertThat(select(Map.of("UCCL_P2P_RDMA_CC", "swift"), TCP).warnings())
        .singleElement()
        .asString()
        .startsWith("UCCL_P2P_RDMA_CC ");
  }

  @Test
  void whatTheChosenTransportWillRegretIsAWarning() {
    TransportProvider fabric =
        new PlantedTransport.Fabric(Availability.available("an old card", "Buy a new one"));
    assertThat(select(Map.of(), fabric, TCP).warnings())
        .containsExactly("transport fabric: an old card. Buy a new one");
    assertThat(select(Map.of("UCCL_P2P_TRANSPORT", "tcp"), fabric, TCP).warnings())
        .as("of one that was not taken")
        .isEmpty();
  }

  @Test
  void aBetterTransportThatWasConfiguredAndCannotWorkIsAWarning() {
    Map<String, String> configured = Map.of("UCCL_CXI_DEPTH", "32");
    assertThat(select(configured, FABRIC, TCP).warnings())
        .containsExactly(
            "transport tcp is used, though UCCL_CXI_DEPTH is set, since fabric cannot work here: no"
                + " card. Buy a card");
    assertThat(
            TransportSelector.select(
                    EngineConfig.of(configured).withTransport("tcp"), found(FABRIC, TCP))
                .warnings())
        .as("if tcp was asked for")
        .isEmpty();
  }

  @Test
  void whatIsSetForOtherReasonsIsNoWarning() {
    assertThat(select(Map.of("CUDA_VISIBLE_DEVICES", "0"), VERBS, TCP).warnings()).isEmpty();
  }

  @Test
  void aBrokenTransportIsACandidateAWarningAndPartOfErrors() {
    TransportDiscovery discovery =
        new TransportDiscovery(
            List.of(TCP), List.of(new TransportDiscovery.Broken("com.acme.Broken", "no class")));
    Selection selection = TransportSelector.select(EngineConfig.of(Map.of()), discovery);
    assertThat(selection.provider()).isSameAs(TCP);
    assertThat(selection.choice().candidates())
        .contains(new Candidate("com.acme.Broken", false, "no class", "Repair or remove its jar"));
    assertThat(selection.warnings())
        .containsExactly("transport com.acme.Broken cannot be used: no class");
    assertThatThrownBy(
            () ->
                TransportSelector.select(
                    EngineConfig.of(Map.of()).withTransport("acme"), discovery))
        .isInstanceOf(ConfigurationException.class)
        .hasMessageContaining("found: tcp, com.acme.Broken (broken: no class)");
  }

  private static Selection select(Map<String, String> environment, TransportProvider... found) {
    return TransportSelector.select(EngineConfig.of(environment), found(found));
  }

  private static TransportDiscovery found(TransportProvider... providers) {
    return TransportDiscovery.of(Arrays.asList(providers));
  }

  private static final class Renamed extends PlantedTransport {
    private Renamed(String name, int priority, Availability availability) {
      super(name, List.of(), priority, List.of(), availability);
    }
  }

  private static final class Failing extends PlantedTransport {
    private final Throwable failure;

    private Failing(Throwable failure) {
      super("failing", List.of(), 400, List.of(), Availability.available(""));
      this.failure = failure;
    }

    @Override
    public Availability probe(Map<String, String> environment) {
      if (failure instanceof Error error) {
        throw error;
      }
      throw (RuntimeException) failure;
    }
  }

  private static final class Echo extends PlantedTransport {
    private Echo() {
      super("echo", List.of(), 400, List.of(), Availability.available(""));
    }

    @Override
    public Availability probe(Map<String, String> environment) {
      return Availability.unavailable("saw " + environment, "");
    }
  }
}
