package io.uccl.p2p.architecture;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaAccess;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaField;
import com.tngtech.archunit.core.domain.JavaMember;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.domain.JavaType;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;
import java.util.HashSet;
import java.util.Set;

/** How the modules may depend on each other, and what none of them does. */
final class Architecture {

  private final String root;
  private final String[] api;
  private final String transports;
  private final String engine;
  private final String[] seeingTheEngine;

  /**
   * The rules for packages that lie as the project's own do.
   *
   * @param root the package that holds the API
   */
  Architecture(String root) {
    this.root = root;
    api = new String[] {root, root + ".spi", root + ".spi.nativelib"};
    transports = root + ".transport..";
    engine = root + ".engine..";
    seeingTheEngine = new String[] {engine, root + ".cli..", root + ".conformance.."};
  }

  ArchRule apiDependsOnTheJdkAlone() {
    return classes()
        .that()
        .resideInAnyPackage(api)
        .should()
        .onlyDependOnClassesThat(ofTheJdkOrAnnotations().or(resideInAnyPackage(api)));
  }

  ArchRule transportsSeeOnlyTheApi() {
    return classes()
        .that()
        .resideInAPackage(transports)
        .should()
        .onlyDependOnClassesThat(
            ofTheJdkOrAnnotations().or(resideInAnyPackage(api)).or(resideInAnyPackage(transports)));
  }

  ArchRule transportsDoNotSeeEachOther() {
    return slices().matching(root + ".transport.(*)..").should().notDependOnEachOther();
  }

  ArchRule engineSeesNoTransport() {
    return noClasses()
        .that()
        .resideInAPackage(engine)
        .should()
        .dependOnClassesThat()
        .resideInAPackage(transports);
  }

  ArchRule onlyToolAndTestsSeeTheEngine() {
    return noClasses()
        .that()
        .resideOutsideOfPackages(seeingTheEngine)
        .should()
        .dependOnClassesThat()
        .resideInAPackage(engine);
  }

  ArchRule signaturesOfTheApiMentionNoLibrary() {
    return classes()
        .that()
        .resideInAnyPackage(api)
        .should(mentionNothingOf("com.google.", "org.slf4j."));
  }

  ArchRule guestsInTheProcess() {
    DescribedPredicate<JavaAccess<?>> printsStack =
        describe(
            "printStackTrace() of a throwable",
            access ->
                access.getName().equals("printStackTrace")
                    && access.getTargetOwner().isAssignableTo(Throwable.class));
    return noClasses()
        .that()
        .resideInAnyPackage(api)
        .or()
        .resideInAnyPackage(engine, transports)
        .should()
        .callMethod(System.class, "exit", int.class)
        .orShould()
        .callMethod(Runtime.class, "exit", int.class)
        .orShould()
        .callMethod(Runtime.class, "halt", int.class)
        .orShould()
        .accessField(System.class, "out")
        .orShould()
        .accessField(System.class, "err")
        .orShould()
        .accessTargetWhere(printsStack);
  }

  /** The API and its SPI count as one: {@code P2pEngine.open} finds the engine by the SPI. */
  ArchRule packagesHaveNoCycles() {
    return slices().assignedFrom(new Packages(root)).should().beFreeOfCycles();
  }

  private static DescribedPredicate<JavaClass> ofTheJdkOrAnnotations() {
    return describe(
        "of the JDK or JSpecify's annotations",
        type -> {
          JavaClass element = type.getBaseComponentType();
          String name = element.getPackageName();
          return element.isPrimitive()
              || name.startsWith("java.")
              || name.startsWith("org.jspecify.annotations");
        });
  }

  private static ArchCondition<JavaClass> mentionNothingOf(String... prefixes) {
    return new ArchCondition<>("mention no type of " + String.join(", ", prefixes)) {
      @Override
      public void check(JavaClass type, ConditionEvents events) {
        type.getMembers().stream()
            .filter(Architecture::isVisible)
            .forEach(member -> check(member, events));
      }

      private void check(JavaMember member, ConditionEvents events) {
        for (JavaClass mentioned : mentionedBy(member)) {
          for (String prefix : prefixes) {
            if (mentioned.getName().startsWith(prefix)) {
              events.add(
                  SimpleConditionEvent.violated(
                      member, member.getFullName() + " mentions " + mentioned.getName()));
            }
          }
        }
      }
    };
  }

  private static boolean isVisible(JavaMember member) {
    return member.getModifiers().contains(JavaModifier.PUBLIC)
        || member.getModifiers().contains(JavaModifier.PROTECTED);
  }

  private static Set<JavaClass> mentionedBy(JavaMember member) {
    Set<JavaClass> mentioned = new HashSet<>();
    if (member instanceof JavaField field) {
      mentioned.addAll(field.getType().getAllInvolvedRawTypes());
    } else if (member instanceof JavaCodeUnit unit) {
      mentioned.addAll(unit.getReturnType().getAllInvolvedRawTypes());
      for (JavaType parameter : unit.getParameterTypes()) {
        mentioned.addAll(parameter.getAllInvolvedRawTypes());
      }
      mentioned.addAll(unit.getExceptionTypes());
    }
    return mentioned;
  }

  /** Every package below the root, the API's two as one. */
  private record Packages(String root) implements SliceAssignment {

    @Override
    public SliceIdentifier getIdentifierOf(JavaClass type) {
      String name = type.getPackageName();
      if (name.equals(root) || name.equals(root + ".spi")) {
        return SliceIdentifier.of(root);
      }
      return name.startsWith(root + ".") ? SliceIdentifier.of(name) : SliceIdentifier.ignore();
    }

    @Override
    public String getDescription() {
      return "packages below " + root;
    }
  }
}
