package io.uccl.p2p.conformance;

import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The rules that the kit has, as JUnit would find them. */
public final class KitRules {

  private KitRules() {}

  /** The test methods of all groups. */
  public static List<Method> methods() {
    return methods(
        Arrays.stream(TransportConformance.class.getDeclaredClasses())
            .filter(group -> group.isAnnotationPresent(Nested.class))
            .toList());
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

  /** Whether a rule has a tag. */
  public static boolean isTagged(Method rule, String tag) {
    return Arrays.stream(rule.getAnnotationsByType(Tag.class))
        .anyMatch(each -> each.value().equals(tag));
  }
}
