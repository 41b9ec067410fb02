package io.uccl.p2p.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BytePatternTest {

  private static final int PIECE = 4096;

  private final ByteBuffer memory = ByteBuffer.allocateDirect(16 * PIECE + 5);
  private final Footprint footprint = Footprint.of(memory);
  private final BytePattern pattern = new BytePattern(7);

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 7, 8, 9, 63, 64, 65, 4095, 4096, 4097})
  void findsNothingWrongInWhatItFilled(int length) {
    Footprint part = footprint.first(length);
    pattern.fill(part);
    assertThat(pattern.firstWrong(part)).isNull();
  }

  @Test
  void fillsNotOneByteMore() {
    pattern.fill(footprint.first(13));
    for (int i = 13; i < 64; i++) {
      assertThat(memory.get(i)).isZero();
    }
  }

  @Test
  void findsOneWrongByteWhereverItIs() {
    pattern.fill(footprint);
    for (int offset : new int[] {0, 1, 7, 8, 4093, 16 * PIECE - 1, 16 * PIECE, 16 * PIECE + 4}) {
      byte right = memory.get(offset);
      memory.put(offset, (byte) (right ^ 0x10));
      assertThat(pattern.firstWrong(footprint))
          .isEqualTo(new BytePattern.WrongByte(7, offset, right & 0xff, (right ^ 0x10) & 0xff));
      memory.put(offset, right);
    }
    assertThat(pattern.firstWrong(footprint)).isNull();
  }

  @Test
  void findsTheFirstOfTwo() {
    pattern.fill(footprint);
    memory.put(5000, (byte) ~memory.get(5000));
    memory.put(4997, (byte) ~memory.get(4997));
    assertThat(offsetOfFirstWrong()).isEqualTo(4997);
  }

  @Test
  void findsASkippedPieceThatStillHoldsTheIterationBefore() {
    new BytePattern(6).fill(footprint);
    byte[] old = bytes(3 * PIECE, PIECE);
    pattern.fill(footprint);
    memory.put(3 * PIECE, old);
    assertThat(offsetOfFirstWrong()).isBetween(3L * PIECE, 3L * PIECE + 7);
  }

  @Test
  void findsARepeatedPiece() {
    pattern.fill(footprint);
    memory.put(5 * PIECE, bytes(4 * PIECE, PIECE));
    assertThat(offsetOfFirstWrong()).isBetween(5L * PIECE, 5L * PIECE + 7);
  }

  @Test
  void findsMisplacedPieces() {
    pattern.fill(footprint);
    byte[] two = bytes(2 * PIECE, PIECE);
    memory.put(2 * PIECE, bytes(9 * PIECE, PIECE));
    memory.put(9 * PIECE, two);
    assertThat(offsetOfFirstWrong()).isBetween(2L * PIECE, 2L * PIECE + 7);
  }

  @Test
  void findsAPieceThatIsShiftedByOneByte() {
    pattern.fill(footprint);
    memory.put(PIECE + 1, bytes(PIECE, PIECE));
    assertThat(offsetOfFirstWrong()).isBetween((long) PIECE, PIECE + 8L);
  }

  @Test
  void viewsOfALongFootprintFollowEachOther() {
    List<String> asked = new ArrayList<>();
    Footprint large =
        new Footprint(
            3L * Footprint.WINDOW + 5,
            (offset, length) -> {
              asked.add(offset + "+" + length);
              return ByteBuffer.allocateDirect(0);
            });
    assertThat(large.views(0, large.length())).hasSize(4);
    assertThat(asked)
        .containsExactly(
            "0+1073741824", "1073741824+1073741824", "2147483648+1073741824", "3221225472+5");
  }

  @Test
  void saysIterationOffsetExpectedAndFound() {
    assertThat(new BytePattern.WrongByte(3, 17, 0xab, 0))
        .hasToString("iteration 3, offset 17: 0xab was expected, 0x00 was found");
  }

  private long offsetOfFirstWrong() {
    BytePattern.WrongByte wrong = pattern.firstWrong(footprint);
    assertThat(wrong).isNotNull();
    assertThat(wrong.found()).isEqualTo(memory.get((int) wrong.offset()) & 0xff);
    return wrong.offset();
  }

  private byte[] bytes(int offset, int length) {
    byte[] bytes = new byte[length];
    memory.get(offset, bytes);
    return bytes;
  }
}
