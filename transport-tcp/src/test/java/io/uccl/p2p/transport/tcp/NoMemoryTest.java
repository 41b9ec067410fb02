package io.uccl.p2p.transport.tcp;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.TransportException;
import io.uccl.p2p.spi.OpBuffer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a transport does while it cannot allocate a byte off-heap. */
@Timeout(120)
class NoMemoryTest {

  private final Pair pair = new Pair(64);

  @Test
  void aPeerThatWritesWhereItMustNotCostsItsConnectionOnly() {
    try (pair) {
      Region local = pair.left.region(1 << 20);
      Region remote = pair.right.region(1 << 20);
      FifoDescriptor right = remote.describe(0, 1 << 20);
      FifoDescriptor wrong =
          FifoDescriptor.of(
              right.address(),
              1 << 20,
              0,
              right.rid(),
              right.idx(),
              right.own0() + 1,
              right.own1(),
              right.own2());
      NoMemory.during(
          () -> {
            pair.left.post(pair.leftChannel, OpBuffer.WRITE, local, 0, 1 << 20, wrong, 0);
            pair.until(() -> pair.right.failed.containsKey(pair.rightChannel));
          });
      assertThat(pair.right.failed.get(pair.rightChannel))
          .isInstanceOf(TransportException.class)
          .hasMessageContaining("there is no memory for the data connection")
          .hasMessageContaining("MaxDirectMemorySize");
      pair.until(pair.left::allEnded);
      pair.connect();
    }
  }

  @Test
  void aRegionIsClosedAlsoWhenWhatIsLeftOfItsFrameCannotBeCopied() {
    try (pair) {
      int more = 64 << 20;
      Region local = pair.left.region(more);
      Region remote = pair.right.region(more);
      FifoDescriptor there = remote.describe(0, more);
      pair.left.post(pair.leftChannel, OpBuffer.WRITE, local, 0, more, there, 0);
      while (pair.left.poll()) {
        // Until the sockets hold no more, since the other side does not read.
      }
      assertThat(local.memory.viewsInUse()).isPositive();
      NoMemory.during(local.memory::close);
      assertThat(local.memory.viewsInUse()).isZero();
      pair.until(() -> pair.left.allEnded() && pair.left.failed.containsKey(pair.leftChannel));
      assertThat(pair.left.failed.get(pair.leftChannel))
          .isInstanceOf(TransportException.class)
          .hasMessageContaining("there is no memory for the data connection");
    }
  }
}
