package io.uccl.p2p.transport.rdma;

import java.util.BitSet;
import java.util.List;
import java.util.regex.Pattern;

/**
 * The NUMA nodes that this process runs on: those with a processor that it may use, and of them
 * those that it may take memory from. A limit comes from {@code taskset}, {@code numactl}, or a
 * container.
 */
final class ProcessNodes {

  private static final Pattern NODE = Pattern.compile("node[0-9]{1,6}");
  private static final Pattern LIST =
      Pattern.compile("[0-9]{1,6}(-[0-9]{1,6})?(,[0-9]{1,6}(-[0-9]{1,6})?)*");

  private ProcessNodes() {}

  /** Their numbers; empty if nothing limits it, or the kernel does not say. */
  static BitSet limits(KernelFiles kernel) {
    String status = KernelFiles.read(kernel.status());
    BitSet processors = listed(field(status, "Cpus_allowed_list:"));
    BitSet memory = listed(field(status, "Mems_allowed_list:"));
    BitSet all = new BitSet();
    BitSet runs = new BitSet();
    for (String name : nodes(kernel)) {
      int number = Integer.parseInt(name.substring("node".length()));
      BitSet own = listed(KernelFiles.read(kernel.numaNodes().resolve(name).resolve("cpulist")));
      if (!own.isEmpty()) {
        all.set(number);
      }
      if (own.intersects(processors)) {
        runs.set(number);
      }
    }
    if (runs.intersects(memory)) {
      runs.and(memory);
    }
    return runs.equals(all) ? new BitSet() : runs;
  }

  private static List<String> nodes(KernelFiles kernel) {
    return KernelFiles.namesIn(kernel.numaNodes()).stream()
        .filter(name -> NODE.matcher(name).matches())
        .toList();
  }

  private static String field(String status, String name) {
    return status
        .lines()
        .filter(line -> line.startsWith(name))
        .map(line -> line.substring(name.length()).strip())
        .findFirst()
        .orElse("");
  }

  /** Of a list like {@code 0-3,8}. */
  private static BitSet listed(String text) {
    BitSet numbers = new BitSet();
    if (LIST.matcher(text).matches()) {
      for (String range : text.split(",", -1)) {
        int dash = range.indexOf('-');
        int first = Integer.parseInt(dash < 0 ? range : range.substring(0, dash));
        int last = dash < 0 ? first : Integer.parseInt(range.substring(dash + 1));
        numbers.set(first, Math.max(first, last) + 1);
      }
    }
    return numbers;
  }
}
