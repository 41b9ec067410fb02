package io.uccl.p2p.transport.rdma;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * The GPUs of this process, as CUDA numbers them with {@code CUDA_DEVICE_ORDER=PCI_BUS_ID}: by bus
 * id, of those that {@code CUDA_VISIBLE_DEVICES} names in its order. CUDA is not loaded for that.
 */
final class NvidiaGpus {

  private static final String VENDOR = "0x10de";

  /** Of displays, and of accelerators without one; the last two digits vary. */
  private static final Pattern CLASS = Pattern.compile("0x030[02][0-9a-f]{2}");

  private static final Pattern NUMBER = Pattern.compile("[0-9]{1,4}");

  private NvidiaGpus() {}

  /** Where one is plugged in; empty if there is no such GPU, or it cannot be told which it is. */
  static Optional<PciPlace> find(KernelFiles kernel, Map<String, String> environment, int index) {
    List<String> busIds = busIds(kernel);
    String visible = environment.get(VerbsSettings.GPUS.name());
    Optional<String> found =
        visible == null ? at(busIds, index) : visible(kernel, busIds, visible, index);
    return found.map(busId -> PciPlace.of(kernel.pciDevices().resolve(busId)));
  }

  /** What the driver lists, else what is on the buses. */
  private static List<String> busIds(KernelFiles kernel) {
    List<String> ofDriver = KernelFiles.namesIn(kernel.nvidiaGpus());
    List<String> all =
        ofDriver.isEmpty()
            ? KernelFiles.namesIn(kernel.pciDevices()).stream()
                .filter(busId -> isGpu(kernel.pciDevices().resolve(busId)))
                .toList()
            : ofDriver;
    // A longer domain is a higher one.
    return all.stream()
        .map(busId -> busId.toLowerCase(Locale.ROOT))
        .sorted(Comparator.comparingInt(String::length).thenComparing(Comparator.naturalOrder()))
        .toList();
  }

  private static boolean isGpu(Path device) {
    return KernelFiles.read(device.resolve("vendor")).equals(VENDOR)
        && CLASS.matcher(KernelFiles.read(device.resolve("class"))).matches();
  }

  private static Optional<String> visible(
      KernelFiles kernel, List<String> busIds, String visible, int index) {
    List<String> entries = Arrays.stream(visible.split(",", -1)).map(String::strip).toList();
    Optional<String> entry = at(entries, index);
    if (entry.isEmpty()) {
      return Optional.empty();
    }
    String name = entry.get();
    if (NUMBER.matcher(name).matches()) {
      return at(busIds, Integer.parseInt(name));
    }
    // Whose part a part of a GPU (MIG) is, only its driver's library tells.
    return name.startsWith("GPU-")
        ? busIds.stream().filter(busId -> uuid(kernel, busId).startsWith(name)).findFirst()
        : Optional.empty();
  }

  private static String uuid(KernelFiles kernel, String busId) {
    return KernelFiles.read(kernel.nvidiaGpus().resolve(busId).resolve("information"))
        .lines()
        .filter(line -> line.startsWith("GPU UUID:"))
        .map(line -> line.substring(line.indexOf(':') + 1).strip())
        .findFirst()
        .orElse("");
  }

  private static Optional<String> at(List<String> list, int index) {
    return index < list.size() ? Optional.of(list.get(index)) : Optional.empty();
  }
}
