package io.uccl.p2p.conformance;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What the simulated cxi provider counts, and the faults that it injects, in a file that its
 * processes map. Their names and places are those of {@code counts.h}, which is read for them.
 */
final class SimulatedCxi {

  /** The environment variable that names the file. */
  static final String FILE = "FI_CXI_SIM_COUNTS";

  private static final Path HEADER =
      Path.of("..", "transport-cxi", "src", "test", "native", "counts.h");
  private static final Pattern NAME = Pattern.compile("^ +X\\((\\w+)\\)", Pattern.MULTILINE);

  /** The first counter that is of events, and not of live objects. */
  private static final String EVENTS = "REGISTRATIONS";

  private static final int SIZE = 4096;
  private static final int COUNTERS_AT = 8;
  private static final int FAULTS_AT = 2048;
  private static final int FAULT_BYTES = 32;
  private static final int STRUCK = 24;

  /** When a fault strikes. */
  enum Mode {
    OFF(0),
    /** The n-th time alone. */
    AT(2),
    /** Always after the n-th time. */
    AFTER(3);

    private final long code;

    Mode(long code) {
      this.code = code;
    }
  }

  private final ByteBuffer block;
  private final List<String> counters;
  private final List<String> faults;

  /** Maps the file; it is made when it is not there. */
  SimulatedCxi(Path file) throws IOException {
    try (FileChannel channel =
        FileChannel.open(
            file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      block = channel.map(FileChannel.MapMode.READ_WRITE, 0, SIZE).order(ByteOrder.nativeOrder());
    }
    String[] parts = Files.readString(HEADER).split("#define SIM_FAULT_NAMES", 2);
    counters = names(parts[0]);
    faults = names(parts[1]);
  }

  /** Maps the file of this process. */
  static SimulatedCxi ofThisProcess() throws IOException {
    return new SimulatedCxi(Path.of(System.getenv(FILE)));
  }

  private static List<String> names(String text) {
    return NAME.matcher(text).results().map(match -> match.group(1)).toList();
  }

  /** One of the counts, by its name in the header. */
  long count(String counter) {
    return block.getLong(COUNTERS_AT + 8 * place(counters, counter));
  }

  /** How many live objects there are of each kind. */
  Map<String, Long> objects() {
    Map<String, Long> objects = new LinkedHashMap<>();
    for (String each : counters.subList(0, place(counters, EVENTS))) {
      objects.put(each, count(each));
    }
    return objects;
  }

  /** Has a fault, by its name in the header, strike from now on. */
  void fault(String fault, Mode mode, long n) {
    int at = FAULTS_AT + FAULT_BYTES * place(faults, fault);
    block.putLong(at, Mode.OFF.code);
    block.putLong(at + 8, n);
    block.putLong(at + 16, 0);
    block.putLong(at, mode.code);
  }

  /** No fault strikes any more. */
  void noFaults() {
    faults.forEach(each -> fault(each, Mode.OFF, 0));
  }

  /** How often a fault has struck. */
  long struck(String fault) {
    return block.getLong(FAULTS_AT + FAULT_BYTES * place(faults, fault) + STRUCK);
  }

  private static int place(List<String> names, String name) {
    int place = names.indexOf(name);
    if (place < 0) {
      throw new IllegalArgumentException("counts.h has no " + name + " among " + names);
    }
    return place;
  }
}
