package io.uccl.p2p.architecture;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** Every rule holds for the project, and is broken by a violation that is planted here. */
class ArchitectureTest {

  private static final String ROOT = "io.uccl.p2p";
  private static final String PLANTED = ROOT + ".architecture.planted";

  private static final JavaClasses PROJECT =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages(ROOT);
  private static final JavaClasses VIOLATIONS = new ClassFileImporter().importPackages(PLANTED);

  @Test
  void everyModuleIsLookedAt() {
    assertThat(PROJECT.stream().map(JavaClass::getPackageName).distinct())
        .contains(
            ROOT,
            ROOT + ".spi",
            ROOT + ".spi.nativelib",
            ROOT + ".transport.tcp",
            ROOT + ".transport.cxi",
            ROOT + ".transport.rdma",
            ROOT + ".engine",
            ROOT + ".cli",
            ROOT + ".conformance")
        .noneMatch(each -> each.startsWith(ROOT + ".architecture"));
  }

  @Test
  void apiDependsOnTheJdkAlone() {
    holdsButFor(Architecture::apiDependsOnTheJdkAlone, "PlantedApi", "ImmutableList");
  }

  @Test
  void transportsSeeOnlyTheApi() {
    holdsButFor(Architecture::transportsSeeOnlyTheApi, "PlantedTransport", "PlantedEngine");
  }

  @Test
  void transportsDoNotSeeEachOther() {
    holdsButFor(Architecture::transportsDoNotSeeEachOther, "PlantedTransport", "PlantedNeighbour");
  }

  @Test
  void engineSeesNoTransport() {
    holdsButFor(Architecture::engineSeesNoTransport, "PlantedEngine", "PlantedNeighbour");
  }

  @Test
  void onlyToolAndTestsSeeTheEngine() {
    holdsButFor(Architecture::onlyToolAndTestsSeeTheEngine, "PlantedTransport", "PlantedEngine");
    assertThat(failure(new Architecture(PLANTED).onlyToolAndTestsSeeTheEngine()))
        .as("the tool may see it")
        .doesNotContain("PlantedTool");
  }

  @Test
  void signaturesOfTheApiMentionNoLibrary() {
    holdsButFor(
        Architecture::signaturesOfTheApiMentionNoLibrary,
        "PlantedApi.list()",
        "PlantedApi.nested(",
        "PlantedSpi.log(");
    assertThat(failure(new Architecture(PLANTED).signaturesOfTheApiMentionNoLibrary()))
        .as("what nobody sees is no signature")
        .doesNotContain("hidden");
  }

  @Test
  void guestsInTheProcess() {
    holdsButFor(
        Architecture::guestsInTheProcess,
        "System.exit(int)",
        "Runtime.halt(int)",
        "System.out",
        "System.err",
        "printStackTrace()");
  }

  @Test
  void packagesHaveNoCycles() {
    holdsButFor(Architecture::packagesHaveNoCycles, "PlantedLeft", "PlantedRight");
  }

  /** The rule holds for the project, and fails for the planted classes, naming these. */
  private static void holdsButFor(Function<Architecture, ArchRule> rule, String... named) {
    rule.apply(new Architecture(ROOT)).check(PROJECT);
    assertThat(failure(rule.apply(new Architecture(PLANTED)))).contains(named);
  }

  private static String failure(ArchRule rule) {
    AssertionError failure =
        catchThrowableOfType(AssertionError.class, () -> rule.check(VIOLATIONS));
    assertThat(failure).as("the planted violation of: %s", rule.getDescription()).isNotNull();
    return failure.getMessage();
  }
}
