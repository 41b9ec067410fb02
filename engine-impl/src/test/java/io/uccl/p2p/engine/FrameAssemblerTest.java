package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.ProtocolException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class FrameAssemblerTest {

  private static final long SEED = 20260806;
  private static final int MOST = FrameAssembler.MAX_PAYLOAD_BYTES;

  private final FrameAssembler assembler = new FrameAssembler();

  private static byte[] stream(List<byte[]> payloads) {
    int total = payloads.stream().mapToInt(payload -> 4 + payload.length).sum();
    ByteBuffer stream = ByteBuffer.allocate(total);
    payloads.forEach(payload -> stream.putInt(payload.length).put(payload));
    return stream.array();
  }

  private static byte[] copy(ByteBuffer payload) {
    assertThat(payload.order()).isEqualTo(ByteOrder.LITTLE_ENDIAN);
    assertThat(payload.hasArray()).isTrue();
    byte[] bytes = new byte[payload.remaining()];
    payload.get(bytes);
    return bytes;
  }

  private List<byte[]> feed(byte[] bytes) throws ProtocolException {
    List<byte[]> frames = new ArrayList<>();
    ByteBuffer input = ByteBuffer.wrap(bytes);
    for (ByteBuffer frame = assembler.next(input); frame != null; frame = assembler.next(input)) {
      frames.add(copy(frame));
    }
    assertThat(input.hasRemaining()).isFalse();
    return frames;
  }

  private static byte[] prefix(int length) {
    return ByteBuffer.allocate(4).putInt(length).array();
  }

  @Test
  void framesSplitByteByByteComeWhole() throws Exception {
    List<byte[]> sent = List.of(new byte[] {1}, new byte[] {2, 3, 4}, new byte[300]);
    List<byte[]> frames = new ArrayList<>();

    for (byte b : stream(sent)) {
      frames.addAll(feed(new byte[] {b}));
    }

    assertThat(frames.toArray()).isEqualTo(sent.toArray());
    assertThat(assembler.isMidFrame()).isFalse();
  }

  @Test
  void manyFramesInASegmentComeApart() throws Exception {
    List<byte[]> sent = List.of(new byte[] {1}, new byte[] {2, 3, 4}, new byte[300]);

    assertThat(feed(stream(sent)).toArray()).isEqualTo(sent.toArray());
    assertThat(assembler.capacity()).as("nothing needed to be kept").isZero();
  }

  @Test
  void onlyTheWholeFrameThatIsAskedForIsSkipped() throws Exception {
    byte[] skipped = {7, 8};
    ByteBuffer input = ByteBuffer.wrap(stream(List.of(skipped, new byte[] {7, 9}, skipped)));
    assertThat(assembler.skip(skipped, input)).isTrue();
    assertThat(assembler.skip(skipped, input)).as("another frame").isFalse();
    assertThat(copy(assembler.next(input))).containsExactly(7, 9);
    input.limit(input.limit() - 1);
    assertThat(assembler.skip(skipped, input)).as("not all of it is there").isFalse();
    assertThat(assembler.next(input)).isNull();
    input.limit(input.limit() + 1);
    assertThat(assembler.skip(skipped, input)).as("it has begun").isFalse();
    assertThat(copy(assembler.next(input))).containsExactly(skipped);
  }

  @Test
  void framesSplitAndJoinedAtRandomComeAsTheyWereSent() throws Exception {
    for (int round = 0; round < 2000; round++) {
      Random random = new Random(SEED + round);
      FrameAssembler fresh = new FrameAssembler();
      List<byte[]> sent = new ArrayList<>();
      for (int i = random.nextInt(20); i >= 0; i--) {
        byte[] payload = new byte[random.nextInt(random.nextInt(10) == 0 ? 20_000 : 30)];
        random.nextBytes(payload);
        sent.add(payload);
      }
      byte[] stream = stream(sent);
      List<byte[]> frames = new ArrayList<>();
      for (int at = 0; at < stream.length; ) {
        int count =
            Math.min(stream.length - at, 1 + random.nextInt(random.nextBoolean() ? 6 : 9000));
        ByteBuffer input = ByteBuffer.wrap(stream, at, count);
        for (ByteBuffer f = fresh.next(input); f != null; f = fresh.next(input)) {
          frames.add(copy(f));
        }
        at += count;
      }
      sent.removeIf(payload -> payload.length == 0);
      assertThat(frames.toArray()).as("seed %d", SEED + round).isEqualTo(sent.toArray());
      assertThat(fresh.isMidFrame()).as("seed %d", SEED + round).isFalse();
    }
  }

  @Test
  void framesOfLengthZeroAreSkipped() throws Exception {
    assembler.allowEmptyFrames();
    assertThat(feed(new byte[4000])).isEmpty();
    assertThat(assembler.isMidFrame()).isFalse();
    assertThat(feed(stream(List.of(new byte[0], new byte[] {7}, new byte[0]))).toArray())
        .isEqualTo(new byte[][] {{7}});
  }

  @Test
  void aFewFramesOfLengthZeroAreSkippedFromWhoeverItIs() throws Exception {
    byte[] few = new byte[4 * FrameAssembler.MOST_EMPTY_FRAMES];
    assertThat(feed(few)).isEmpty();
    assertThat(feed(stream(List.of(new byte[] {7}))).toArray()).isEqualTo(new byte[][] {{7}});
  }

  @Test
  void whoSendsFramesOfLengthZeroOnlySpeaksAnotherProtocol() throws Exception {
    feed(new byte[4 * FrameAssembler.MOST_EMPTY_FRAMES]);
    feed(stream(List.of(new byte[] {7})));
    assertThatThrownBy(() -> feed(prefix(0)))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("sends empty frames")
        .hasMessageContaining("another protocol");
  }

  @ParameterizedTest
  @CsvSource({"67108865, 67108865", "2147483647, 2147483647", "-1, 4294967295"})
  void aLengthOverSixtyFourMebibytesIsNamed(int length, String text) {
    assertThatThrownBy(() -> feed(prefix(length)))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining(text + " bytes")
        .hasMessageContaining("67108864");
    assertThat(assembler.capacity()).isZero();
  }

  @ParameterizedTest
  @ValueSource(strings = {"GET / HTTP/1.1\r\n", "SSH-2.0-OpenSSH"})
  void anotherProtocolIsShownAsTheTextThatItIs(String text) {
    assertThatThrownBy(() -> feed(text.getBytes(StandardCharsets.US_ASCII)))
        .isInstanceOf(ProtocolException.class)
        .hasMessageContaining("\"" + text.substring(0, 4) + "\"");
  }

  @Test
  void anAnnouncedLengthCostsNothingUntilBytesCome() throws Exception {
    assertThat(feed(prefix(MOST))).isEmpty();
    assertThat(assembler.capacity()).isZero();
    assertThat(assembler.isMidFrame()).isTrue();

    byte[] piece = new byte[1000];
    for (int fed = piece.length; fed <= 1_000_000; fed += piece.length) {
      assertThat(feed(piece)).isEmpty();
      assertThat(assembler.capacity()).isBetween(fed, 2 * fed + 4096);
    }
  }

  @Test
  void theLongestFrameComesWholeAndItsMemoryIsGivenBack() throws Exception {
    feed(prefix(MOST));
    byte[] piece = new byte[64 << 10];
    Arrays.fill(piece, (byte) 5);
    List<byte[]> frames = List.of();
    for (int fed = 0; fed < MOST; fed += piece.length) {
      assertThat(frames).isEmpty();
      frames = feed(piece);
    }
    assertThat(frames).hasSize(1);
    assertThat(frames.get(0).length).isEqualTo(MOST);
    assertThat(frames.get(0)[MOST - 1]).isEqualTo((byte) 5);
    assertThat(assembler.capacity()).isZero();
    assertThat(feed(stream(List.of(new byte[] {1}))).toArray()).isEqualTo(new byte[][] {{1}});
  }

  @Test
  void howFarAFrameCameIsTold() throws Exception {
    feed(new byte[] {0, 0});
    assertThat(assembler.isMidFrame()).isTrue();
    assertThat(assembler.progress()).isEqualTo("2 of the 4 bytes of its length");
    feed(new byte[] {0, 9, 1, 2, 3});
    assertThat(assembler.progress()).isEqualTo("3 of its 9 bytes");
  }

  @Test
  @Tag("prove")
  @Tag("decoders")
  void anyStreamEndsInFramesOrInAProtocolException() {
    int failed = 0;
    for (int round = 0; round < Mutations.COUNT; round++) {
      Random random = new Random(SEED + round);
      byte[] stream =
          Mutations.mutate(random, stream(List.of(new byte[5], new byte[30], new byte[1])));
      FrameAssembler fresh = new FrameAssembler();
      try {
        for (int at = 0; at < stream.length; ) {
          int count = Math.min(stream.length - at, 1 + random.nextInt(20));
          ByteBuffer input = ByteBuffer.wrap(stream, at, count);
          for (ByteBuffer f = fresh.next(input); f != null; f = fresh.next(input)) {
            assertThat(f.remaining()).as("seed %d", SEED + round).isBetween(1, stream.length);
          }
          at += count;
        }
        assertThat(fresh.capacity()).as("seed %d", SEED + round).isLessThanOrEqualTo(4096);
      } catch (ProtocolException e) {
        failed++;
      } catch (RuntimeException e) {
        throw new AssertionError("seed " + (SEED + round), e);
      }
    }
    assertThat(failed).isBetween(Mutations.COUNT / 100, Mutations.COUNT / 100 * 99);
  }
}
