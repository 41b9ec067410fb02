package io.uccl.p2p.engine;

import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/** Finds the name that somebody who mistyped one most likely meant. */
final class NearestName {

  private NearestName() {}

  /**
   * The candidate with the fewest edits from {@code text}, the alphabetically first of several.
   *
   * @param edits the most edits at which a name is still near
   * @return empty if none is near
   */
  static Optional<String> of(String text, Collection<String> candidates, int edits) {
    return candidates.stream()
        .filter(candidate -> distance(text, candidate) <= edits)
        .min(
            Comparator.comparingInt((String candidate) -> distance(text, candidate))
                .thenComparing(Comparator.naturalOrder()));
  }

  /**
   * How many characters must be inserted, deleted, replaced, or swapped with their neighbour to
   * make one text of the other (the "optimal string alignment": no character is edited twice).
   */
  static int distance(String a, String b) {
    int[] beforeLast = new int[b.length() + 1];
    int[] last = new int[b.length() + 1];
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      last[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int replaced = last[j - 1] + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        row[j] = Math.min(replaced, Math.min(last[j], row[j - 1]) + 1);
        if (i > 1
            && j > 1
            && a.charAt(i - 1) == b.charAt(j - 2)
            && a.charAt(i - 2) == b.charAt(j - 1)) {
          row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
        }
      }
      int[] free = beforeLast;
      beforeLast = last;
      last = row;
      row = free;
    }
    return last[b.length()];
  }
}
