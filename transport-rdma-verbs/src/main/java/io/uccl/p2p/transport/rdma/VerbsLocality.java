package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.transport.rdma.PciPlace.Distance;
import io.uccl.p2p.transport.rdma.PciPlace.Shared;
import java.util.BitSet;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/** How near RDMA devices are to the GPU that an engine works for, else to its process. */
final class VerbsLocality {

  private static final Distance NEAR = new Distance(Shared.NUMA_NODE, 0);
  private static final Distance FAR = new Distance(Shared.NOTHING, 0);

  private final int gpuIndex;
  private final Optional<PciPlace> gpu;

  /** Empty if nothing limits the process to some. */
  private final BitSet nodes;

  VerbsLocality(KernelFiles kernel, Map<String, String> environment, int gpuIndex) {
    this.gpuIndex = gpuIndex;
    this.gpu = NvidiaGpus.find(kernel, environment, gpuIndex);
    this.nodes = ProcessNodes.limits(kernel);
  }

  Distance to(PciPlace device) {
    if (gpu.isPresent()) {
      return gpu.get().to(device);
    }
    boolean near = nodes.isEmpty() || (device.numaNode() >= 0 && nodes.get(device.numaNode()));
    return near ? NEAR : FAR;
  }

  /**
   * Where to begin among devices that are equally near: the GPUs of a machine share them evenly.
   */
  int turn() {
    return gpu.isPresent() ? gpuIndex : 0;
  }

  /** Why a device is taken that is nearer than others. */
  String reason() {
    if (gpu.isPresent()) {
      return "nearest to GPU " + gpuIndex;
    }
    return (nodes.cardinality() == 1 ? "on NUMA node " : "on NUMA nodes ")
        + nodes.stream().mapToObj(Integer::toString).collect(Collectors.joining(", "));
  }
}
