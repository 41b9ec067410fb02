package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.spi.Availability;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Probes in a fresh JVM, and prints the answer, what it took, and which libraries the process has
 * mapped that it would not have without.
 *
 * <p>Takes the folder that stands for {@code /}; by default it is that itself.
 */
final class ProbeMain {

  private ProbeMain() {}

  public static void main(String[] arguments) throws IOException {
    KernelFiles kernel =
        arguments.length == 0 ? KernelFiles.LIVE : new KernelFiles(Path.of(arguments[0]));
    VerbsTransportProvider provider = new VerbsTransportProvider(kernel);
    double first = probe(provider);
    System.out.println(provider.probe(System.getenv()).detail());
    System.out.printf("probed in %.1f ms, and again in %.1f ms%n", first, probe(provider));
    List<String> mapped =
        Files.readAllLines(Path.of("/proc/self/maps")).stream()
            .filter(line -> line.matches(".*/lib(p2p|ibverbs|rdma|cuda).*"))
            .map(line -> line.substring(line.lastIndexOf('/') + 1))
            .distinct()
            .toList();
    System.out.println("libraries of RDMA or of p2p: " + (mapped.isEmpty() ? "none" : mapped));
  }

  /** How long it takes, in milliseconds. */
  private static double probe(VerbsTransportProvider provider) {
    long start = System.nanoTime();
    Availability unused = provider.probe(System.getenv());
    return (System.nanoTime() - start) / 1e6;
  }
}
