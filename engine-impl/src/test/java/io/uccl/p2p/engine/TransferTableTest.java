package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class TransferTableTest {

  private final TransferTable table = new TransferTable();
  private final OperationBatch[] batches = {
    new OperationBatch(null, 1), new OperationBatch(null, 1), new OperationBatch(null, 1)
  };

  @Test
  void findsWhatIsUnderWayAndNothingElse() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    Map<Long, Integer> model = new HashMap<>();
    List<Long> underWay = new ArrayList<>();
    int most = 0;
    Set<Long> ever = new HashSet<>();
    for (int i = 0; i < 50_000; i++) {
      // Grows past its first size and back, again and again.
      boolean add = underWay.isEmpty() || random.nextInt(10) < (i / 5000 % 2 == 0 ? 7 : 3);
      if (add) {
        int index = random.nextInt(1000);
        long id = table.add(batches[index % 3], index);
        assertThat(ever.add(id)).as("id %x is new, seed %d", id, seed).isTrue();
        model.put(id, index);
        underWay.add(id);
        most = Math.max(most, underWay.size());
      } else {
        int at = random.nextInt(underWay.size());
        long id = underWay.get(at);
        underWay.set(at, underWay.get(underWay.size() - 1));
        underWay.remove(underWay.size() - 1);
        int index = model.remove(id);
        assertThat(table.batch(id)).isSameAs(batches[index % 3]);
        assertThat(table.index(id)).isEqualTo(index);
        table.remove(id);
        assertThat(table.batch(id)).as("a second completion, seed %d", seed).isNull();
      }
    }
    assertThat(most).as("it grew").isGreaterThan(256);
    for (long id : ever) {
      assertThat(table.batch(id) != null).isEqualTo(model.containsKey(id));
    }
  }

  @Test
  void idsThatItNeverGaveAreUnknown() {
    table.add(batches[0], 0);
    for (long id : new long[] {-1, Long.MIN_VALUE, Long.MAX_VALUE, 0xFFFF_FFFFL, 1L << 32, 255}) {
      assertThat(table.batch(id)).as("id %x", id).isNull();
    }
  }
}
