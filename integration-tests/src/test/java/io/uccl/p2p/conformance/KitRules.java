package io.uccl.p2p.conformance;

import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The rules that the kit has, as JUnit would find them. */
public final class KitRules {

  private KitRules() {}

  /** The groups. */
  public static List<Class<?>> groups() {
    return Arrays.<Class<?>>stream(TransportConformance.class.getDeclaredClasses())
        .filter(group -> group.isAnnotationPresent(Nested.class))
        .toList();
  }

  /** The test methods of all groups. */
  public static List<Method> methods() {
    return methods(groups());
  }

  /** Numbers and words of the rules of some groups that have a tag. */
  public static List<String> tagged(List<? extends Class<?>> groups, String tag) {
    return names(groups, rule -> isTagged(rule, tag));
  }

  /** Numbers and words of the rules of some groups that do not only run in {@code p2p prove}. */
  public static List<String> everyday(List<? extends Class<?>> groups) {
    return names(groups, rule -> !isTagged(rule, "prove-only"));
  }

  private static List<String> names(List<? extends Class<?>> groups, Predicate<Method> wanted) {
    return methods(groups).stream().filter(wanted).map(KitRules::name).toList();
  }

  /** The test methods of some groups. */
  public static List<Method> methods(List<? extends Class<?>> groups) {
    return groups.stream()
        .flatMap(group -> Arrays.stream(group.getSuperclass().getDeclaredMethods()))
        .filter(method -> method.isAnnotationPresent(Test.class))
        .toList();
  }

  /** Number and words of a rule. */
  public static String name(Method rule) {
    DisplayName name = rule.getAnnotation(DisplayName.class);
    return name == null ? rule.toString() : name.value();
  }

  private static boolean isTagged(Method rule, String tag) {
    return Arrays.stream(rule.getAnnotationsByType(Tag.class))
        .anyMatch(each -> each.value().equals(tag));
  }
}
