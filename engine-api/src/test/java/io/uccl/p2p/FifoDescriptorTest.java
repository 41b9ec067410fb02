package io.uccl.p2p;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FifoDescriptorTest {

  private static final long TWO_32 = 1L << 32;
  private static final long SEED = 20260801;

  private static FifoDescriptor descriptor(long address, long length) {
    return FifoDescriptor.of(address, length, 1, 2, 3, 4, 5, 6);
  }

  private static int sizeField(FifoDescriptor descriptor) {
    return littleEndian(descriptor).getInt(8);
  }

  private static long tailField(FifoDescriptor descriptor) {
    return littleEndian(descriptor).getLong(56);
  }

  private static ByteBuffer littleEndian(FifoDescriptor descriptor) {
    return ByteBuffer.wrap(descriptor.encode()).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Test
  void readsAndWritesTheBytesOfTheCppEngine() {
    JsonNode golden = Golden.get("fifo_descriptor_cxi");
    byte[] bytes = Golden.hex(golden, "hex");

    FifoDescriptor descriptor = FifoDescriptor.decode(bytes);

    long base = 0x7fbcc0000000L;
    assertThat(descriptor.address()).isEqualTo(base + 4096);
    assertThat(descriptor.length()).isEqualTo(65536);
    assertThat(descriptor.rkey()).isZero();
    assertThat(descriptor.nmsgs()).isZero();
    assertThat(descriptor.rid()).isZero();
    assertThat(descriptor.idx()).isZero();
    assertThat(descriptor.own0()).isEqualTo(base);
    assertThat(descriptor.own1()).isEqualTo(0xa000000000010000L);
    assertThat(descriptor.own2()).isEqualTo(64L << 20);
    assertThat(descriptor.encode()).isEqualTo(bytes);
    assertThat(
            FifoDescriptor.of(base + 4096, 65536, 0, 0, 0, base, 0xa000000000010000L, 64L << 20)
                .encode())
        .isEqualTo(bytes);
  }

  @Test
  void everyFieldHasItsPlace() {
    FifoDescriptor descriptor =
        FifoDescriptor.of(
            0x0102030405060708L,
            0x090a0b0cL,
            0x0d0e0f10,
            0x11121314,
            0x15161718_191a1b1cL,
            0x21L,
            0x22L,
            0x23L);

    assertThat(descriptor.toString())
        .isEqualTo(
            "08070605040302010c0b0a09100f0e0d00000000141312111c1b1a1918171615"
                + "210000000000000022000000000000002300000000000000"
                + "0000000000000000");
    assertThat(descriptor.life()).isEqualTo(0x15161718);
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, TWO_32 - 2})
  void aLengthThatFitsTheSizeFieldStandsThere(long length) {
    FifoDescriptor descriptor = descriptor(4096, length);

    assertThat(sizeField(descriptor)).isEqualTo((int) length);
    assertThat(tailField(descriptor)).isZero();
    assertThat(FifoDescriptor.decode(descriptor.encode())).isEqualTo(descriptor);
    assertThat(FifoDescriptor.decode(descriptor.encode()).length()).isEqualTo(length);
  }

  @Test
  void theGreatestSizeWithAZeroTailIsMeant() {
    FifoDescriptor descriptor = descriptor(4096, TWO_32 - 1);

    assertThat(sizeField(descriptor)).isEqualTo(-1);
    assertThat(tailField(descriptor)).isZero();
    assertThat(FifoDescriptor.decode(descriptor.encode()).length()).isEqualTo(TWO_32 - 1);
  }

  @ParameterizedTest
  @ValueSource(longs = {TWO_32, TWO_32 + 1, 1L << 40, Long.MAX_VALUE})
  void aLongerLengthStandsInTheTail(long length) {
    FifoDescriptor descriptor = descriptor(4096, length);

    assertThat(sizeField(descriptor)).isEqualTo(-1);
    assertThat(tailField(descriptor)).isEqualTo(length);
    assertThat(FifoDescriptor.decode(descriptor.encode()).length()).isEqualTo(length);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, TWO_32 - 1, -1, Long.MIN_VALUE})
  void aTailThatNoLongLengthHasIsNotALength(long tail) {
    byte[] bytes = descriptor(4096, TWO_32 - 1).encode();
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(56, tail);

    FifoDescriptor decoded = FifoDescriptor.decode(bytes);

    assertThat(decoded.length()).isEqualTo(TWO_32 - 1);
    assertThat(decoded.encode()).isEqualTo(bytes);
  }

  @Test
  void aTailBehindASmallSizeIsCarriedAlong() {
    byte[] bytes = descriptor(4096, 100).encode();
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(56, 1L << 40);

    FifoDescriptor decoded = FifoDescriptor.decode(bytes);

    assertThat(decoded.length()).isEqualTo(100);
    assertThat(tailField(decoded.slice(10, 20))).isEqualTo(1L << 40);
    assertThat(decoded.slice(10, 20).length()).isEqualTo(20);
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, TWO_32 - 2, TWO_32 - 1, TWO_32, 1L << 40})
  void aSliceChangesOnlyAddressAndLength(long part) {
    FifoDescriptor whole = descriptor(0x1000, 1L << 41);

    FifoDescriptor slice = whole.slice(1L << 33, part);

    FifoDescriptor decoded = FifoDescriptor.decode(slice.encode());
    assertThat(decoded).isEqualTo(slice).isEqualTo(descriptor(0x1000 + (1L << 33), part));
    assertThat(decoded.length()).isEqualTo(part);
    assertThat(sizeField(slice)).isEqualTo((int) Math.min(part, TWO_32 - 1));
    assertThat(tailField(slice)).isEqualTo(part >= TWO_32 ? part : 0);
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 1, 100, TWO_32 - 2, TWO_32 - 1, TWO_32, 1L << 40})
  void theSliceOfEverythingIsTheSame(long length) {
    FifoDescriptor whole = descriptor(77, length);

    assertThat(whole.slice(0, length)).isEqualTo(whole).hasSameHashCodeAs(whole);
    assertThat(whole.slice(length, 0).length()).isZero();
  }

  @Test
  void aSliceOutsideTheRangeIsRefused() {
    FifoDescriptor whole = descriptor(0, TWO_32);

    assertThatThrownBy(() -> whole.slice(1, TWO_32)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> whole.slice(-1, 1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> whole.slice(0, -1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> whole.slice(Long.MAX_VALUE, Long.MAX_VALUE))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void aNegativeLengthIsRefused() {
    assertThatThrownBy(() -> descriptor(0, -1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("-1");
  }

  @Test
  @Tag("prove")
  @Tag("decoders")
  void anyBytesAreGivenBackAsTheyCame() {
    Random random = new Random(SEED);
    byte[] bytes = new byte[FifoDescriptor.BYTES];
    for (int i = 0; i < Mutations.COUNT; i++) {
      random.nextBytes(bytes);
      if (i % 3 == 0) {
        // The size that sends the reader to the tail, which is otherwise never drawn.
        Arrays.fill(bytes, 8, 12, (byte) 0xff);
      }
      if (i % 2 == 0) {
        Arrays.fill(bytes, 60, 64, (byte) 0);
      }
      FifoDescriptor decoded = FifoDescriptor.decode(bytes);
      assertThat(decoded.encode()).as("seed %d, round %d", SEED, i).isEqualTo(bytes);
      assertThat(decoded.length()).as("seed %d, round %d", SEED, i).isNotNegative();
      FifoDescriptor slice = decoded.slice(decoded.length() / 3, decoded.length() / 2);
      assertThat(FifoDescriptor.decode(slice.encode()).length())
          .as("seed %d, round %d", SEED, i)
          .isEqualTo(decoded.length() / 2);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 63, 65, 128})
  void anotherNumberOfBytesIsRefused(int count) {
    assertThatThrownBy(() -> FifoDescriptor.decode(new byte[count]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(Integer.toString(count));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void decodingABufferMovesPastTheDescriptorWhateverTheOrder(boolean direct) {
    FifoDescriptor first = descriptor(1, 2);
    FifoDescriptor second = descriptor(3, 1L << 40);
    ByteBuffer buffer = direct ? ByteBuffer.allocateDirect(140) : ByteBuffer.allocate(140);
    buffer.position(5).put(first.encode()).put(second.encode()).flip().position(5);

    assertThat(FifoDescriptor.decode(buffer)).isEqualTo(first);
    assertThat(FifoDescriptor.decode(buffer)).isEqualTo(second);
    assertThat(buffer.remaining()).isZero();
    assertThatThrownBy(() -> FifoDescriptor.decode(buffer))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void encodingAtAnIndexWritesThereOnlyOrNothingAtAll() {
    FifoDescriptor descriptor = descriptor(-1, TWO_32);
    ByteBuffer target = ByteBuffer.allocate(80).order(ByteOrder.LITTLE_ENDIAN).limit(72);

    descriptor.encode(target, 8);

    assertThat(target.position()).isZero();
    assertThat(Arrays.copyOfRange(target.array(), 0, 8)).containsOnly(0);
    assertThat(Arrays.copyOfRange(target.array(), 8, 72)).isEqualTo(descriptor.encode());
    assertThat(Arrays.copyOfRange(target.array(), 72, 80)).containsOnly(0);

    Arrays.fill(target.array(), (byte) 0);
    assertThatThrownBy(() -> descriptor.encode(target, 9))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> descriptor.encode(target, -1))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> descriptor.encode(target.order(ByteOrder.BIG_ENDIAN), 0))
        .isInstanceOf(IllegalArgumentException.class);
    assertThat(target.array()).containsOnly(0);
  }

  @Test
  void descriptorsThatDifferInAnyByteAreNotEqual() {
    byte[] bytes = descriptor(4096, 8192).encode();
    FifoDescriptor descriptor = FifoDescriptor.decode(bytes);
    for (int i = 0; i < bytes.length; i++) {
      byte[] other = bytes.clone();
      other[i] ^= 1;
      assertThat(FifoDescriptor.decode(other)).as("byte %d", i).isNotEqualTo(descriptor);
    }
    assertThat(descriptor).isNotEqualTo(null).isNotEqualTo("text");
  }
}
