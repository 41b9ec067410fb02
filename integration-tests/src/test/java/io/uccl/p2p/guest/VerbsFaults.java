package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;

/**
 * Faults that no command brings about. They are those of a library that stands between the rdma
 * transport and the real libibverbs: {@code transport-rdma-verbs/src/test/native/faults.c}.
 */
public final class VerbsFaults {

  /** What {@code UCCL_IBV_SO} has to name in an engine that is to have faults. */
  public static final Path LIBRARY =
      Path.of("../transport-rdma-verbs/target/native/libp2p_verbs_faults.so")
          .toAbsolutePath()
          .normalize();

  /** Types of events, as verbs number them. */
  private static final int QUEUE_PAIR_ACCESS_ERROR = 3;

  private static final int DEVICE_FATAL = 8;

  private static final int NO_QUEUE_PAIR = -1;

  /** Calls into the kernel that a test can have take long. */
  public enum Call {
    /** It looks for the address of the peer that a queue pair is connected to. */
    CONNECT(0),
    /** It destroys a queue pair. */
    DESTROY(1);

    /** In {@code faults.c}. */
    private final int gate;

    Call(int gate) {
      this.gate = gate;
    }
  }

  static {
    System.load(LIBRARY.toString());
  }

  private VerbsFaults() {}

  /**
   * Moves a queue pair of this process to error.
   *
   * @param n 0: the one that was made last, 1: the one before it
   */
  public static void toError(int n) {
    assertThat(breakQueuePair(n)).as("errno of ibv_modify_qp").isZero();
  }

  /** Has a device say that it failed, when it is next asked for its events. */
  public static void failDevice() {
    assertThat(sendEvent(DEVICE_FATAL, NO_QUEUE_PAIR)).as("errno").isZero();
  }

  /**
   * Has a device say, when it is next asked, that it refused an operation of the peer.
   *
   * @param n on which queue pair, as above
   */
  public static void refuse(int n) {
    assertThat(sendEvent(QUEUE_PAIR_ACCESS_ERROR, n)).as("errno").isZero();
  }

  /** From now on such calls do not return. */
  public static void hold(Call call) {
    shut(call.gate, true);
  }

  /** They return again. */
  public static void letGo(Call call) {
    shut(call.gate, false);
  }

  /** Waits until one is under way; false if there is none within some seconds. */
  public static boolean await(Call call, long seconds) {
    return await(call.gate, seconds);
  }

  /** Devices that are opened from now on say that they register no more bytes at a time. */
  public static native void limitRegistrations(long bytes);

  /** How many queue pairs this process has, but for those that the kernel is about to destroy. */
  public static native int queuePairs();

  private static native void shut(int gate, boolean shut);

  private static native boolean await(int gate, long seconds);

  private static native int breakQueuePair(int n);

  private static native int sendEvent(int type, int n);
}
