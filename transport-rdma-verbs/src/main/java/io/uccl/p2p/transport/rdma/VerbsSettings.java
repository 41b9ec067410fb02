package io.uccl.p2p.transport.rdma;

import io.uccl.p2p.spi.Setting;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Pattern;

/**
 * The environment variables of the rdma transport: the C++ engine's names, meanings and defaults,
 * where it has them.
 *
 * <p>Bounds are those of the fields of an InfiniBand packet or queue pair; a device may allow less.
 * Where the C++ engine takes its default in place of a value that it cannot use, such a value is an
 * error here.
 */
final class VerbsSettings {

  /** Empty when unset. A path or a name for {@code dlopen}: whether it is there, the probe says. */
  static final Setting<String> LIBIBVERBS =
      Setting.text("UCCL_IBV_SO", "path of libibverbs", "libibverbs.so.1");

  private static final Pattern DEVICE_NAME = Pattern.compile("[A-Za-z0-9_.-]+");

  private static final int MOST_NICS = 4;

  /** In the order of the variable, one that is named twice twice; empty when unset. */
  static final Setting<List<String>> DEVICES =
      new Setting<>(
          "UCCL_P2P_RDMA_DEV",
          "the devices to use",
          "chosen by locality",
          "a comma-separated list of 1 to " + MOST_NICS + " device names",
          List.of(),
          VerbsSettings::devices);

  static final Setting<Integer> NICS =
      Setting.integer(
          "UCCL_P2P_RDMA_NICS", "devices that are used at most", MOST_NICS, 1, MOST_NICS);

  static final Setting<Integer> QUEUE_PAIRS =
      Setting.integer(
          "UCCL_P2P_RDMA_QPS",
          "queue pairs of a connection",
          4,
          1,
          VerbsParameters.MOST_QUEUE_PAIRS);

  /** CUDA's own variable. That it is set to nothing means something: there are none. */
  static final Setting<String> GPUS =
      Setting.text("CUDA_VISIBLE_DEVICES", "the GPUs of this process, as CUDA takes it", "all");

  /** Empty when unset: detected, an IPv4-mapped RoCE v2 address being preferred. */
  static final Setting<OptionalInt> GID_INDEX =
      new Setting<>(
          "UCCL_P2P_RDMA_GID_INDEX",
          "index of the port's address",
          "detected, IPv4-mapped RoCE v2 first",
          "a number from 0 to 255",
          OptionalInt.empty(),
          text -> number(text, 255));

  /** Empty when unset: it depends on the network. */
  static final Setting<OptionalInt> SERVICE_LEVEL =
      new Setting<>(
          "UCCL_P2P_RDMA_SL",
          "service level",
          "3; 0 on InfiniBand",
          "a number from 0 to 15",
          OptionalInt.empty(),
          text -> number(text, 15));

  static final Setting<Integer> TRAFFIC_CLASS =
      Setting.integer("UCCL_P2P_RDMA_TC", "traffic class", 104, 0, 255);

  static final Setting<Integer> MAX_RD_ATOMIC =
      Setting.integer(
          "UCCL_P2P_RDMA_MAX_RD_ATOMIC", "outstanding reads that a queue pair starts", 16, 1, 255);

  static final Setting<Integer> MAX_DEST_RD_ATOMIC =
      Setting.integer(
          "UCCL_P2P_RDMA_MAX_DEST_RD_ATOMIC",
          "outstanding reads that a queue pair serves",
          16,
          1,
          255);

  /** Whether a write ends only when a read behind it has returned. GPU memory always takes one. */
  static final Setting<String> FLUSH =
      Setting.choice(
          "UCCL_P2P_RDMA_FLUSH",
          "on: a small read behind each chain of writes proves that they are placed",
          "off",
          List.of("on", "off"));

  /** All of them, in the order in which lists show them. */
  static final List<Setting<?>> ALL =
      List.of(
          LIBIBVERBS,
          DEVICES,
          NICS,
          QUEUE_PAIRS,
          GPUS,
          GID_INDEX,
          SERVICE_LEVEL,
          TRAFFIC_CLASS,
          MAX_RD_ATOMIC,
          MAX_DEST_RD_ATOMIC,
          FLUSH);

  private VerbsSettings() {}

  private static OptionalInt number(String text, int most) {
    int number = Integer.parseInt(text);
    if (number < 0 || number > most) {
      throw new IllegalArgumentException("out of range");
    }
    return OptionalInt.of(number);
  }

  private static List<String> devices(String text) {
    List<String> names =
        Arrays.stream(text.split(",", -1))
            .map(String::trim)
            .filter(name -> !name.isEmpty())
            .toList();
    if (names.isEmpty()
        || names.size() > MOST_NICS
        || !names.stream().allMatch(name -> DEVICE_NAME.matcher(name).matches())) {
      throw new IllegalArgumentException("not device names, or too many");
    }
    return names;
  }
}
