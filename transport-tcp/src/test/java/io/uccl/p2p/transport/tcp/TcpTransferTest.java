package io.uccl.p2p.transport.tcp;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.spi.OpBuffer;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Transfers between two transports that are driven by hand. */
@Timeout(300)
class TcpTransferTest {

  private static final int[] SIZES = {
    0,
    1,
    63,
    64,
    65,
    4095,
    4096,
    4097,
    16382,
    16383,
    16384,
    16385,
    65535,
    65536,
    262143,
    262144,
    262145,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1
  };
  private static final int GAP = 3;

  /** An operation of a script that is yet to be posted or under way. */
  private record Step(
      Side side, boolean write, Region local, Region remote, int localAt, int remoteAt, int size) {

    Region target() {
      return write ? remote : local;
    }

    int targetAt() {
      return write ? remoteAt : localAt;
    }

    Region source() {
      return write ? local : remote;
    }

    int sourceAt() {
      return write ? localAt : remoteAt;
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, false",
    "2, 2, false",
    "7, 3, false",
    "512, 4, false",
    "1, 5, true",
    "7, 6, true",
    "64, 7, true"
  })
  void everySizeInBothDirectionsIsExactToTheByte(int capacity, int seed, boolean smallBuffers)
      throws IOException {
    Random random = new Random(seed);
    try (Pair pair = new Pair(capacity)) {
      if (smallBuffers) {
        pair.left.shrinkSendBuffers();
        pair.right.shrinkSendBuffers();
      }
      Region leftSource = pair.left.region(4 << 20);
      Region leftTarget = pair.left.region(32 << 20);
      Region rightSource = pair.right.region(4 << 20);
      Region rightTarget = pair.right.region(32 << 20);
      leftSource.fill(random);
      rightSource.fill(random);
      ArrayDeque<Step> script = new ArrayDeque<>();
      int[] used = new int[2];
      for (int i = 0; i < 400; i++) {
        int size = i < SIZES.length * 4 ? SIZES[i / 4] : size(random);
        boolean fromLeft = i % 2 == 0;
        boolean write = i / 2 % 2 == 0;
        boolean intoLeft = fromLeft ^ write;
        Region target = intoLeft ? leftTarget : rightTarget;
        Region source = intoLeft ? rightSource : leftSource;
        int side = intoLeft ? 0 : 1;
        if (used[side] + size + GAP > target.size) {
          continue;
        }
        int targetAt = used[side];
        used[side] += size + GAP;
        int sourceAt = random.nextInt(source.size - size + 1);
        target.expect(targetAt, source, sourceAt, size);
        script.add(
            new Step(
                fromLeft ? pair.left : pair.right,
                write,
                write ? source : target,
                write ? target : source,
                write ? sourceAt : targetAt,
                write ? targetAt : sourceAt,
                size));
      }
      assertThat(script).hasSizeGreaterThan(300);
      run(pair, script, random);
      assertThat(pair.left.failed).isEmpty();
      assertThat(pair.right.failed).isEmpty();
      assertThat(pair.left.ended.values()).allMatch(failure -> failure.isEmpty());
      assertThat(pair.right.ended.values()).allMatch(failure -> failure.isEmpty());
      for (Region region : new Region[] {leftSource, leftTarget, rightSource, rightTarget}) {
        region.assertAsExpected("seed " + seed);
        assertThat(region.memory.viewsInUse()).isZero();
      }
    }
  }

  private static int size(Random random) {
    return switch (random.nextInt(4)) {
      case 0 -> random.nextInt(128);
      case 1 -> random.nextInt(20_000);
      case 2 -> 16_300 + random.nextInt(200);
      default -> random.nextInt(300_000);
    };
  }

  private static void run(Pair pair, ArrayDeque<Step> script, Random random) {
    Map<Side, Map<Long, Step>> underWay =
        Map.of(pair.left, new HashMap<>(), pair.right, new HashMap<>());
    for (Side side : underWay.keySet()) {
      side.onDone =
          id -> {
            Step step = underWay.get(side).get(id);
            assertThat(
                    step.target()
                        .holds(step.targetAt(), step.source(), step.sourceAt(), step.size()))
                .as("%s is in place when it is reported", step)
                .isTrue();
          };
    }
    while (!script.isEmpty()) {
      Step step = script.peek();
      TcpChannel channel = step.side() == pair.left ? pair.leftChannel : pair.rightChannel;
      long id =
          step.side()
              .post(
                  channel,
                  step.write() ? OpBuffer.WRITE : OpBuffer.READ,
                  step.local(),
                  step.localAt(),
                  step.size(),
                  step.remote().describe(0, step.remote().size),
                  step.remoteAt());
      if (id >= 0) {
        underWay.get(step.side()).put(id, step);
        script.remove();
      }
      for (int n = id < 0 ? 3 : random.nextInt(3); n > 0; n--) {
        (random.nextBoolean() ? pair.left : pair.right).poll();
      }
    }
    pair.finish();
  }

  @Test
  void takesNoMoreThanItsWindow() {
    try (Pair pair = new Pair(new Side(16, 3), new Side(16, 3))) {
      Region local = pair.left.region(64);
      FifoDescriptor remote = pair.right.region(64).describe(0, 64);
      for (int i = 0; i < 3; i++) {
        assertThat(pair.left.post(pair.leftChannel, OpBuffer.WRITE, local, 0, 64, remote, 0))
            .isPositive();
      }
      assertThat(pair.left.post(pair.leftChannel, OpBuffer.WRITE, local, 0, 64, remote, 0))
          .isEqualTo(-1);
      pair.finish();
      assertThat(pair.left.post(pair.leftChannel, OpBuffer.WRITE, local, 0, 64, remote, 0))
          .isPositive();
      pair.finish();
    }
  }

  /** What a descriptor can be wrong in, and what the target says to it. */
  @ParameterizedTest
  @CsvSource({
    "RID, no such region", "EPOCH, no such region", "LIFE, earlier life", "KEY, key is wrong",
    "BELOW, outside", "BEYOND, outside", "LENGTH, outside", "WRAPPED, outside",
    "READ_ONLY, does not allow", "WRITE_ONLY, does not allow", "CLOSED, no such region"
  })
  void refusesAnOperationAndNothingElse(String wrong, String says) {
    try (Pair pair = new Pair(4)) {
      Region local = pair.left.region(2 << 20);
      local.fill(new Random(1));
      RegionAccess access =
          switch (wrong) {
            case "READ_ONLY" -> RegionAccess.REMOTE_READ;
            case "WRITE_ONLY" -> RegionAccess.REMOTE_WRITE;
            default -> RegionAccess.REMOTE_READ_WRITE;
          };
      Region remote = pair.right.region(1 << 20, access);
      Region good = pair.right.region(2 << 20);
      FifoDescriptor right = remote.describe(0, remote.size);
      long address = right.address();
      int rid = right.rid();
      long idx = right.idx();
      long key = right.own0();
      switch (wrong) {
        case "RID" -> rid = 77;
        case "EPOCH" -> idx++;
        case "LIFE" -> idx += 1L << 32;
        case "KEY" -> key ^= 1;
        case "BELOW" -> address--;
        case "BEYOND" -> address += remote.size;
        case "LENGTH" -> address++;
        case "WRAPPED" -> address = Long.MAX_VALUE;
        case "CLOSED" -> remote.memory.close();
        default -> {}
      }
      FifoDescriptor descriptor =
          FifoDescriptor.of(address, 1L << 20, 0, rid, idx, key, right.own1(), right.own2());
      for (int opcode : new int[] {OpBuffer.WRITE, OpBuffer.READ}) {
        boolean allowed =
            (wrong.equals("READ_ONLY") && opcode == OpBuffer.READ)
                || (wrong.equals("WRITE_ONLY") && opcode == OpBuffer.WRITE);
        for (int size : new int[] {1, 16384, 1 << 20}) {
          // The last byte of the range: one byte too far where only the length is wrong.
          long at = wrong.equals("LENGTH") ? (1 << 20) - size : 0;
          if (allowed) {
            continue;
          }
          long id = pair.left.post(pair.leftChannel, opcode, local, 0, size, descriptor, at);
          pair.finish();
          assertThat(pair.left.ended.get(id))
              .get()
              .isInstanceOfSatisfying(
                  RemoteAccessException.class,
                  e -> {
                    assertThat(e).hasMessageContaining(says);
                    assertThat(e.detail().remedy()).isNotEmpty();
                    assertThat(e.detail().peer()).startsWith("127.0.0.1:");
                  });
        }
      }
      remote.assertAsExpected("after refusals");
      long id =
          pair.left.post(
              pair.leftChannel, OpBuffer.WRITE, local, 0, good.size, good.describe(0, 0), 0);
      good.expect(0, local, 0, good.size);
      pair.finish();
      assertThat(pair.left.ended.get(id)).isEmpty();
      good.assertAsExpected("after refusals");
      local.assertAsExpected("after refused reads");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
  void aClosedRegionIsNotWrittenAnyMore(int seed) throws IOException {
    Random random = new Random(seed);
    try (Pair pair = new Pair(seed % 3 + 1)) {
      if (seed % 2 == 0) {
        pair.left.shrinkSendBuffers();
        pair.right.shrinkSendBuffers();
      }
      Region source = pair.left.region(1 << 20);
      source.fill((byte) 1);
      Region closing = pair.right.region(4 << 20);
      Region staying = pair.right.region(4 << 20);
      for (int i = 0; i < 60; i++) {
        Region remote = i % 2 == 0 ? closing : staying;
        int size = SIZES[random.nextInt(SIZES.length)];
        if (size > source.size) {
          continue;
        }
        int at = random.nextInt(remote.size - size + 1);
        pair.left.post(
            pair.leftChannel, OpBuffer.WRITE, source, 0, size, remote.describe(0, remote.size), at);
        if (remote == staying) {
          staying.expect(at, source, 0, size);
        }
      }
      for (int n = random.nextInt(40); n > 0; n--) {
        (random.nextBoolean() ? pair.left : pair.right).poll();
      }
      closing.memory.close();
      assertThat(closing.memory.viewsInUse()).isZero();
      closing.fill((byte) 2);
      pair.finish();
      closing.assertAsExpected("seed " + seed);
      staying.assertAsExpected("seed " + seed);
      assertThat(pair.left.failed).isEmpty();
      assertThat(source.memory.viewsInUse()).isZero();
      assertThat(pair.left.ended.values())
          .allMatch(f -> f.isEmpty() || f.get() instanceof RemoteAccessException);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
  void aClosedRegionIsNotReadAnyMore(int seed) throws IOException {
    Random random = new Random(seed);
    try (Pair pair = new Pair(seed % 3 + 1)) {
      if (seed % 2 == 0) {
        pair.left.shrinkSendBuffers();
        pair.right.shrinkSendBuffers();
      }
      Region source = pair.right.region(2 << 20);
      source.fill((byte) 1);
      Region target = pair.left.region(64 << 20);
      Map<Long, int[]> places = new HashMap<>();
      int used = 0;
      for (int i = 0; i < 60; i++) {
        int size = SIZES[random.nextInt(SIZES.length)];
        long id =
            pair.left.post(
                pair.leftChannel,
                OpBuffer.READ,
                target,
                used,
                size,
                source.describe(0, source.size),
                0);
        places.put(id, new int[] {used, size});
        used += size;
      }
      for (int n = random.nextInt(40); n > 0; n--) {
        (random.nextBoolean() ? pair.left : pair.right).poll();
      }
      source.memory.close();
      assertThat(source.memory.viewsInUse()).isZero();
      Region old = pair.left.region(2 << 20);
      old.fill((byte) 1);
      // What was sent before was of the region as it was: none of this may show up.
      source.fill((byte) 2);
      pair.finish();
      assertThat(pair.left.failed).isEmpty();
      pair.left.ended.forEach(
          (id, failure) -> {
            int[] place = places.get(id);
            if (failure.isEmpty()) {
              assertThat(target.holds(place[0], old, 0, place[1])).as("read %d", id).isTrue();
            } else {
              assertThat(failure.get()).isInstanceOf(RemoteAccessException.class);
            }
          });
      target.assertGuards("seed " + seed);
      assertThat(target.memory.viewsInUse()).isZero();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
  void aClosedChannelReportsEachOperationOnce(int seed) throws IOException {
    Random random = new Random(seed);
    try (Pair pair = new Pair(seed % 3 + 1)) {
      if (seed % 2 == 0) {
        pair.left.shrinkSendBuffers();
        pair.right.shrinkSendBuffers();
      }
      Region left = pair.left.region(2 << 20);
      Region right = pair.right.region(2 << 20);
      for (int i = 0; i < 100; i++) {
        boolean fromLeft = random.nextBoolean();
        Region remote = fromLeft ? right : left;
        int size = SIZES[random.nextInt(SIZES.length)];
        (fromLeft ? pair.left : pair.right)
            .post(
                fromLeft ? pair.leftChannel : pair.rightChannel,
                random.nextBoolean() ? OpBuffer.WRITE : OpBuffer.READ,
                fromLeft ? left : right,
                0,
                size,
                remote.describe(0, remote.size),
                0);
      }
      for (int n = random.nextInt(60); n > 0; n--) {
        (random.nextBoolean() ? pair.left : pair.right).poll();
      }
      pair.leftChannel.close();
      pair.leftChannel.close();
      for (int i = 0; i < 5; i++) {
        pair.left.post(
            pair.leftChannel, OpBuffer.WRITE, left, 0, 100, right.describe(0, right.size), 0);
      }
      pair.until(
          () ->
              pair.left.allEnded()
                  && pair.right.allEnded()
                  && pair.right.failed.containsKey(pair.rightChannel));
      // Once more, when it has reported everything and the transport has forgotten it.
      long late =
          pair.left.post(
              pair.leftChannel, OpBuffer.READ, left, 0, 100, right.describe(0, right.size), 0);
      pair.finish();
      assertThat(pair.left.ended.get(late)).get().isInstanceOf(ResourceClosedException.class);
      assertThat(pair.left.failed).as("a close is not reported").isEmpty();
      assertThat(pair.left.ended.values())
          .allMatch(f -> f.isEmpty() || f.get() instanceof ResourceClosedException);
      assertThat(pair.right.ended.values())
          .allMatch(f -> f.isEmpty() || f.get() instanceof PeerLostException);
      assertThat(left.memory.viewsInUse()).isZero();
      assertThat(right.memory.viewsInUse()).isZero();
      left.assertGuards("seed " + seed);
      right.assertGuards("seed " + seed);
      pair.left.assertClean(0);
      pair.right.assertClean(0);
      pair.connect();
      pair.left.post(
          pair.leftChannel, OpBuffer.WRITE, left, 0, 100, right.describe(0, right.size), 0);
      pair.finish();
    }
  }

  @Test
  void aChannelThatHasEndedKeepsNoBuffers() {
    try (Pair pair = new Pair(64)) {
      Region local = pair.left.region(1 << 20);
      Region remote = pair.right.region(1 << 20);
      FifoDescriptor there = remote.describe(0, remote.size);
      pair.left.post(pair.leftChannel, OpBuffer.WRITE, local, 0, local.size, there, 0);
      pair.left.post(pair.leftChannel, OpBuffer.READ, local, 0, local.size, there, 0);
      pair.finish();
      pair.leftChannel.close();
      pair.until(() -> pair.right.failed.containsKey(pair.rightChannel));
      for (TcpChannel channel : List.of(pair.leftChannel, pair.rightChannel)) {
        assertThat(directBytesOf(Side.field(channel, "sender"))).isZero();
        assertThat(directBytesOf(Side.field(channel, "receiver"))).isZero();
      }
    }
  }

  private static long directBytesOf(Object holder) {
    long bytes = 0;
    for (Field field : holder.getClass().getDeclaredFields()) {
      if (!Modifier.isStatic(field.getModifiers())) {
        Object value = Side.field(holder, field.getName());
        Object[] all = value instanceof Object[] several ? several : new Object[] {value};
        for (Object one : all) {
          bytes += one instanceof ByteBuffer buffer && buffer.isDirect() ? buffer.capacity() : 0;
        }
      }
    }
    return bytes;
  }

  @Test
  void reportsOfAnEndedChannelWaitForRoom() {
    try (Pair pair = new Pair(1)) {
      Region left = pair.left.region(64);
      Region right = pair.right.region(64);
      for (int i = 0; i < Side.WINDOW; i++) {
        pair.left.post(pair.leftChannel, OpBuffer.WRITE, left, 0, 64, right.describe(0, 64), 0);
      }
      pair.leftChannel.close();
      pair.finish();
      assertThat(pair.left.ended)
          .hasSize(Side.WINDOW)
          .allSatisfy((id, f) -> assertThat(f).get().isInstanceOf(ResourceClosedException.class));
    }
  }
}
