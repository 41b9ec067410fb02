package io.uccl.p2p.cli;

import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** The options of {@code bench}, as they are typed. */
final class BenchOptions {

  enum Format {
    TABLE,
    CSV,
    JSON;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  enum Layout {
    DEFAULT,
    NIXLBENCH;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  enum Device {
    CPU,
    GPU;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  enum Role {
    SERVER,
    CLIENT;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(
      names = "--transport",
      paramLabel = "NAME",
      description = "Transport to use; beats UCCL_P2P_TRANSPORT. Default: best available.")
  @Nullable String transport;

  @Option(
      names = "--sizes",
      paramLabel = "SIZE[,SIZE...]",
      converter = Sizes.Converter.class,
      description = "Bytes of a block; K, M, G are steps of 1024. Default: ${DEFAULT-VALUE}.",
      defaultValue = "1179648")
  Sizes sizes = Sizes.parse("1179648");

  @Option(
      names = "--num-iovs",
      paramLabel = "N[,N...]",
      converter = Counts.Converter.class,
      description = "Blocks in one call. Default: ${DEFAULT-VALUE}.",
      defaultValue = "1,2,4,8,16,32,64,128")
  Counts numIovs = Counts.parse("1");

  @Option(
      names = "--iters",
      paramLabel = "N",
      description = "Calls in a loop; the loop is repeated. Default: ${DEFAULT-VALUE}.",
      defaultValue = "16")
  int iters;

  @Option(
      names = "--mode",
      paramLabel = "write|read",
      description = "Way of the bytes. Default: ${DEFAULT-VALUE}.",
      defaultValue = "write")
  Mode mode = Mode.WRITE;

  @Option(names = "--async-api", description = "Post and poll instead of post and await.")
  boolean asyncApi;

  @Option(
      names = "--check",
      description = "Compare every byte after every call, outside of the measured time.")
  boolean check;

  @Option(
      names = "--format",
      paramLabel = "table|csv|json",
      description = "Form of the results. Default: ${DEFAULT-VALUE}.",
      defaultValue = "table")
  Format format = Format.TABLE;

  @Option(
      names = "--layout",
      paramLabel = "default|nixlbench",
      description = "Columns of the table. Default: ${DEFAULT-VALUE}.",
      defaultValue = "default")
  Layout layout = Layout.DEFAULT;

  @Option(
      names = "--pairs",
      paramLabel = "N",
      description =
          "Pairs (engine, limit) that a row is measured over; fewer than 7 are for trials."
              + " Default: ${DEFAULT-VALUE}.",
      defaultValue = "7")
  int pairs;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      description =
          "Least seconds of each side of a pair; less than 1 is for trials."
              + " Default: ${DEFAULT-VALUE}.",
      defaultValue = "1")
  double seconds;

  @Option(
      names = "--role",
      paramLabel = "server|client",
      description =
          "This process is one of the two, the other is started elsewhere. Without it both run on"
              + " this machine.")
  @Nullable Role role;

  @Option(
      names = "--peer",
      paramLabel = "HOST:PORT",
      description =
          "Control port of the server's engine. A server that is given it listens on that port,"
              + " else on UCCL_P2P_CONTROL_PORT. The limit uses a TCP port of its own.")
  @Nullable String peer;

  @Option(
      names = "--device",
      paramLabel = "cpu|gpu",
      description = "Kind of memory. Default: ${DEFAULT-VALUE}.",
      defaultValue = "cpu")
  Device device = Device.CPU;

  @Option(names = "--ipc", description = "Transfers through IPC on one machine.")
  boolean ipc;

  @Option(
      names = "--simulate-cxi",
      description =
          "The cxi transport on a simulated fabric; its figures say nothing about Slingshot.")
  boolean simulateCxi;

  @Option(
      names = "--local-gpu-idx",
      paramLabel = "N",
      description = "The GPU to work for: cxi takes the NIC near to it.",
      defaultValue = "0")
  int localGpuIdx;

  @Option(
      names = "--float-type",
      paramLabel = "none",
      description = "Accepted for scripts; only none: nothing is compressed.",
      defaultValue = "none")
  String floatType = "none";

  // How the process that measures starts its peer: the peer's metadata goes to stdout, and the end
  // of stdin ends it.
  @Option(names = "--piped", hidden = true)
  boolean piped;

  /**
   * Checks what no single option can see.
   *
   * @throws ToolException naming the option, its value and the mend
   */
  void validate() {
    refuse(ipc, "--ipc: the IPC transport is not built yet; leave the option out");
    refuse(
        device == Device.GPU,
        "--device gpu: transfers of GPU memory are not built yet; use --device cpu");
    refuse(
        simulateCxi && transport != null && !transport.equals("cxi"),
        "--simulate-cxi: --transport " + transport + " is another one; leave one of the two out");
    refuse(
        !floatType.equals("none"),
        "--float-type " + floatType + ": nothing is compressed here; use --float-type none");
    refuse(localGpuIdx < 0, "--local-gpu-idx " + localGpuIdx + ": give an index from 0 on");
    refuse(iters < 1, "--iters " + iters + ": give a number from 1 on");
    refuse(pairs < 1, "--pairs " + pairs + ": give a number from 1 on, 7 for results to keep");
    refuse(
        !(seconds > 0 && seconds <= 3600),
        "--seconds " + seconds + ": give seconds above 0 and up to 3600");
    refuse(
        layout == Layout.NIXLBENCH && format != Format.TABLE,
        "--format " + format + ": --layout nixlbench is a table; leave one of the two out");
    refuse(
        role == Role.CLIENT && peer == null,
        "--role client: the server is not named; add --peer HOST:PORT");
    refuse(
        role == null && peer != null,
        "--peer " + peer + ": this process's part is not named; add --role client or server");
    refuse(piped && role != Role.SERVER, "--piped: only for --role server");
    for (long size : sizes.bytes()) {
      for (int count : numIovs.values()) {
        refuse(
            size > Long.MAX_VALUE / count,
            "--sizes " + size + ": " + count + " such blocks have more bytes than 2^63");
      }
    }
  }

  /** The most bytes that a call moves. */
  long largestFootprint() {
    long size = sizes.bytes().stream().mapToLong(Long::longValue).max().orElseThrow();
    int count = numIovs.values().stream().mapToInt(Integer::intValue).max().orElseThrow();
    return Math.multiplyExact(size, count);
  }

  private static void refuse(boolean wrong, String why) {
    if (wrong) {
      throw ToolException.usage(why);
    }
  }
}
