package io.uccl.p2p.guest;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * What an rdma transport does in its life: it registers, connects, transfers, is refused and
 * closes. {@link VerbsJniChecksTest} starts it.
 */
public final class VerbsExercise {

  /** What it prints when all of it went as it should. */
  static final String DONE = "done";

  private static final int OPERATIONS = 40;

  private VerbsExercise() {}

  /** Takes no arguments. */
  public static void main(String[] arguments) {
    try (VerbsSide here = new VerbsSide();
        VerbsSide there = new VerbsSide()) {
      VerbsSide.connect(here, there);
      here.bytes().put(0, (byte) 42);
      here.write(there, 1, OPERATIONS, 1000);
      for (int id = 1; id <= OPERATIONS; id++) {
        assertThat(here.await(id)).isEmpty();
      }
      assertThat(there.bytes().get(0)).isEqualTo((byte) 42);
      there.closeMemory();
      here.write(there, 1, 1, 1000);
      assertThat(here.await(1)).isPresent();
      assertThat(here.awaitFailure()).isNotNull();
    }
    System.out.println(DONE);
  }
}
