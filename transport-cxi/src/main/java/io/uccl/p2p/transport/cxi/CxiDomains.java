package io.uccl.p2p.transport.cxi;

import java.util.ArrayList;
import java.util.List;

/** Asks libfabric what it has of a provider. */
final class CxiDomains {

  private static final int MOST = 64;
  private static final int NAME_BYTES = 64;

  /** As {@code dlopen} finds them, in this order, where none is named. */
  private static final List<String> LIBRARIES = List.of("libfabric.so.1", "libfabric.so");

  private CxiDomains() {}

  /**
   * Finds the library and lists the provider's domains.
   *
   * @param opening gets the library that was found
   * @param report gets the reason if there are none
   */
  static List<String> find(CxiOpening opening, CxiReport report) {
    if (opening.namesLibrary()) {
      return list(opening, report);
    }
    List<String> domains = List.of();
    for (String library : LIBRARIES) {
      opening.library(library);
      domains = list(opening, report);
      if (!domains.isEmpty() || report.error() != CxiReport.ENOENT) {
        break;
      }
    }
    return domains;
  }

  private static List<String> list(CxiOpening opening, CxiReport report) {
    OffHeap names = new OffHeap(MOST * NAME_BYTES);
    long count = CxiShim.domains(opening.address(), names.address(), MOST, report.address());
    List<String> domains = new ArrayList<>();
    for (int i = 0; i < Math.min(count, MOST); i++) {
      domains.add(names.getText(i * NAME_BYTES, NAME_BYTES));
    }
    return domains;
  }
}
