package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.TransportUnavailableException;
import io.uccl.p2p.spi.nativelib.Errno;
import io.uccl.p2p.spi.nativelib.OffHeap;
import java.util.ArrayList;
import java.util.List;

/**
 * What a libfabric has of a provider.
 *
 * @param version of the library, such as 2.1
 * @param isOld below 2.0
 * @param takesGpuMemory whether all domains do; false also where no GPU is
 * @param names of the domains, one and more
 */
record CxiDomains(String version, boolean isOld, boolean takesGpuMemory, List<String> names) {

  private static final int MOST = 64;
  private static final int NAME_BYTES = 64;

  /** As {@code dlopen} finds them, in this order, where none is named. */
  private static final List<String> LIBRARIES = List.of("libfabric.so.1", "libfabric.so");

  /**
   * Finds the library and lists the provider's domains.
   *
   * @param opening gets the library that was found
   * @throws TransportUnavailableException if there is none
   */
  static CxiDomains find(CxiOpening opening) {
    CxiFound found = new CxiFound();
    CxiReport report = new CxiReport();
    List<String> names = find(opening, found, report);
    if (names.isEmpty()) {
      throw new TransportUnavailableException(
          "libfabric has nothing of provider " + opening.provider() + ": " + report.text(),
          report.detail(CxiRemedies.ofOpening(opening, report)));
    }
    return new CxiDomains(
        found.majorVersion() + "." + found.minorVersion(),
        found.majorVersion() < 2,
        found.takesGpuMemory(),
        names);
  }

  private static List<String> find(CxiOpening opening, CxiFound found, CxiReport report) {
    if (opening.namesLibrary()) {
      return list(opening, found, report);
    }
    List<String> names = List.of();
    for (String library : LIBRARIES) {
      opening.library(library);
      names = list(opening, found, report);
      if (!names.isEmpty() || report.error() != Errno.ENOENT) {
        break;
      }
    }
    return names;
  }

  private static List<String> list(CxiOpening opening, CxiFound found, CxiReport report) {
    OffHeap names = new OffHeap(MOST * NAME_BYTES);
    long count =
        CxiShim.domains(
            opening.address(), found.address(), names.address(), MOST, report.address());
    List<String> domains = new ArrayList<>();
    for (int i = 0; i < Math.min(count, MOST); i++) {
      domains.add(names.getText(i * NAME_BYTES, NAME_BYTES));
    }
    return domains;
  }
}
