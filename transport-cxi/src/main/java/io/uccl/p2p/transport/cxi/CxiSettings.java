package io.uccl.p2p.transport.cxi;

import io.uccl.p2p.spi.Setting;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Pattern;

/**
 * The environment variables of the cxi transport: the C++ engine's names, meanings and defaults,
 * and one of this project's.
 *
 * <p>Bounds of the queues are those of libfabric's cxi provider (fi_cxi(7)). Where the C++ engine
 * takes its default in place of a value that it cannot use, such a value is an error here.
 */
final class CxiSettings {

  /** As many as the nodes have that the C++ engine was made for. */
  static final int NICS = 4;

  /** Empty when unset. A path or a name for {@code dlopen}: whether it is there, the probe says. */
  static final Setting<String> LIBFABRIC =
      Setting.text("UCCL_LIBFABRIC_SO", "path of libfabric", "libfabric.so.1, then libfabric.so");

  /** Empty when unset. */
  static final Setting<String> DOMAIN =
      Setting.text("UCCL_CXI_DOMAIN", "fabric domain", "cxi<N>, N being UCCL_CXI_DEVICE_INDEX");

  /** Empty when unset: the GPU decides, as if nodes had {@value #NICS} NICs. */
  static final Setting<OptionalInt> DEVICE_INDEX =
      new Setting<>(
          "UCCL_CXI_DEVICE_INDEX",
          "N of the fabric domain cxi<N>",
          "GPU index modulo 4",
          "a number from 0 to 255",
          OptionalInt.empty(),
          text -> {
            int index = Integer.parseInt(text);
            if (index < 0 || index > 255) {
              throw new IllegalArgumentException("out of range");
            }
            return OptionalInt.of(index);
          });

  /** {@code endpoint} and {@code fid} are legal here, and refused by libfabric 2 when it opens. */
  static final Setting<String> THREADING =
      Setting.choice(
          "UCCL_CXI_THREADING",
          "libfabric's threading model for the domain",
          "safe",
          List.of("safe", "completion", "domain", "endpoint", "fid", "unspec"));

  static final Setting<Integer> TX_QUEUE_SIZE =
      Setting.integer("UCCL_CXI_TX_QUEUE_SIZE", "depth of the transmit queue", 4096, 1, 16384);

  static final Setting<Integer> RX_QUEUE_SIZE =
      Setting.integer("UCCL_CXI_RX_QUEUE_SIZE", "depth of the receive queue", 4096, 1, 15360);

  static final Setting<Integer> CQ_SIZE =
      Setting.integer("UCCL_CXI_CQ_SIZE", "depth of the completion queue", 8192, 1, 1 << 20);

  private static final Pattern PROVIDER_NAME =
      Pattern.compile("[A-Za-z0-9_.-]+(;[A-Za-z0-9_.-]+)*");

  /** For machines without Slingshot; the C++ engine has no such variable. */
  static final Setting<String> PROVIDER =
      new Setting<>(
          "UCCL_CXI_PROVIDER",
          "the libfabric provider to run on",
          "cxi",
          "a libfabric provider (cxi, tcp;ofi_rxm, ...)",
          "cxi",
          text -> {
            if (!PROVIDER_NAME.matcher(text).matches()) {
              throw new IllegalArgumentException("not a provider's name");
            }
            return text;
          });

  /** All of them, in the order in which lists show them. */
  static final List<Setting<?>> ALL =
      List.of(
          LIBFABRIC,
          DOMAIN,
          DEVICE_INDEX,
          THREADING,
          TX_QUEUE_SIZE,
          RX_QUEUE_SIZE,
          CQ_SIZE,
          PROVIDER);

  private CxiSettings() {}
}
