package io.uccl.p2p.spi.nativelib;

import io.uccl.p2p.spi.Availability;

/** Runs in a class loader of its own. */
public final class LoaderProbe {

  private LoaderProbe() {}

  /** What a second copy of these classes finds in a folder. */
  public static String probe(String folder) {
    Availability shim =
        new NativeLibrary(
                "p2p_memory",
                NativeLibrary.ABI_VERSION,
                new MemoryShim(),
                new NativeLibrary.Surroundings(
                    "Linux", System.getProperty("os.arch"), folder, "", folder))
            .availability();
    return shim.available() + "|" + shim.detail() + "|" + shim.remedy();
  }
}
