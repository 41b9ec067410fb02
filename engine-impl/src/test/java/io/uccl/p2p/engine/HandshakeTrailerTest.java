package io.uccl.p2p.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.EndpointMetadata;
import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HandshakeTrailerTest {

  private static final long SEED = 20260804;
  private static final byte[] PARAMETERS = {10, 11, 12, 13, 14, 15, 16, 17};
  private static final EndpointMetadata SENDER =
      new EndpointMetadata(InetAddress.getLoopbackAddress(), 47001, "0000:01:00.0");
  private static final HandshakeTrailer FULL =
      new HandshakeTrailer(
          0x80000001,
          HandshakeTrailer.FEATURE_READY,
          new byte[] {1, 2},
          new byte[] {3},
          new byte[] {4, 5, 6},
          SENDER);

  /** The n bytes with TLVs of the test's own choice. */
  private static byte[] withTlvs(byte[] tlvs) {
    return footer(tlvs, tlvs.length, HandshakeTrailer.MAGIC);
  }

  private static byte[] footer(byte[] tlvs, int length, int magic) {
    return ByteBuffer.allocate(PARAMETERS.length + tlvs.length + 6)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(PARAMETERS)
        .put(tlvs)
        .putShort((short) length)
        .putInt(magic)
        .array();
  }

  private static byte[] tlv(int type, int... value) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(type);
    out.write(type >> 8);
    out.write(value.length);
    out.write(value.length >> 8);
    for (int b : value) {
      out.write(b);
    }
    return out.toByteArray();
  }

  private static byte[] join(byte[]... parts) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    for (byte[] part : parts) {
      out.writeBytes(part);
    }
    return out.toByteArray();
  }

  private static void assertNoTrailer(byte[] n) {
    HandshakeTrailer.Split split = HandshakeTrailer.split(n);
    assertThat(split.trailer()).isNull();
    assertThat(split.parameters()).isEqualTo(n);
  }

  private static HandshakeTrailer trailerOf(byte[]... tlvs) {
    HandshakeTrailer.Split split = HandshakeTrailer.split(withTlvs(join(tlvs)));
    assertThat(split.parameters()).isEqualTo(PARAMETERS);
    return split.trailer();
  }

  private static final byte[] LIFE = tlv(1, 7, 0, 0, 0);

  @Test
  void whatWasAppendedIsSplitOffAgain() {
    HandshakeTrailer.Split split =
        HandshakeTrailer.split(HandshakeTrailer.append(PARAMETERS, FULL));

    assertThat(split.parameters()).isEqualTo(PARAMETERS);
    HandshakeTrailer trailer = split.trailer();
    assertThat(trailer).isEqualTo(FULL).hasSameHashCodeAs(FULL);
    assertThat(trailer.life()).isEqualTo(0x80000001);
    assertThat(trailer.sendsReady()).isTrue();
    assertThat(trailer.hostIdentity()).containsExactly(1, 2);
    assertThat(trailer.nonce()).containsExactly(3);
    assertThat(trailer.proof()).containsExactly(4, 5, 6);
    assertThat(trailer.sender()).isEqualTo(SENDER);
    assertThat(trailer).isNotEqualTo(HandshakeTrailer.of(0x80000001, 1, SENDER));
  }

  @Test
  void theLayoutIsTheDocumentedOne() {
    byte[] n = HandshakeTrailer.append(PARAMETERS, HandshakeTrailer.of(0x01020304, 1, SENDER));

    assertThat(HexFormat.of().formatHex(n))
        .isEqualTo(
            "0a0b0c0d0e0f1011"
                + "0100040004030201"
                + "0200040001000000"
                + "06001300"
                + "7f000001b7990c303030303a30313a30302e30"
                + "2700"
                + "50325054");
  }

  @Test
  void whatIsNotKnownIsLeftOut() {
    HandshakeTrailer least = HandshakeTrailer.of(1, 0, null);

    byte[] n = HandshakeTrailer.append(PARAMETERS, least);

    assertThat(n).hasSize(PARAMETERS.length + 8 + 8 + 6);
    HandshakeTrailer trailer = HandshakeTrailer.split(n).trailer();
    assertThat(trailer).isEqualTo(least);
    assertThat(trailer.sendsReady()).isFalse();
    assertThat(trailer.sender()).isNull();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 5, 6, 8, 4000, 65535})
  void parametersOfACppPeerHaveNoTrailer(int length) {
    byte[] n = new byte[length];
    new Random(SEED).nextBytes(n);

    assertNoTrailer(n);
  }

  @Test
  void onlyLifeIsNeeded() {
    HandshakeTrailer trailer = trailerOf(LIFE);

    assertThat(trailer).isEqualTo(HandshakeTrailer.of(7, 0, null));
  }

  @Test
  void withoutALifeItIsNoTrailer() {
    assertNoTrailer(withTlvs(new byte[0]));
    assertNoTrailer(withTlvs(tlv(2, 1, 0, 0, 0)));
    assertNoTrailer(withTlvs(tlv(1, 0, 0, 0, 0)));
    assertNoTrailer(withTlvs(tlv(1, 1, 0, 0)));
    assertNoTrailer(withTlvs(tlv(1, 1, 0, 0, 0, 0)));
  }

  @Test
  void ofTwoOfATypeTheFirstCounts() {
    assertThat(trailerOf(LIFE, tlv(1, 8, 0, 0, 0)).life()).isEqualTo(7);
    assertThat(trailerOf(tlv(4, 1), LIFE, tlv(4, 2)).nonce()).containsExactly(1);
    assertNoTrailer(withTlvs(join(tlv(1, 0, 0, 0, 0), LIFE)));
  }

  @Test
  void unknownTypesAreSkipped() {
    assertThat(trailerOf(tlv(7, 1, 2, 3), LIFE, tlv(0xffff), tlv(0)))
        .isEqualTo(HandshakeTrailer.of(7, 0, null));
  }

  @Test
  void unknownFeaturesAreKept() {
    HandshakeTrailer trailer = trailerOf(LIFE, tlv(2, 0xff, 0xff, 0xff, 0xff));

    assertThat(trailer.features()).isEqualTo(-1);
    assertThat(trailer.sendsReady()).isTrue();
    assertThat(trailerOf(LIFE, tlv(2, 0xfe, 0, 0, 0)).sendsReady()).isFalse();
  }

  @Test
  void metadataThatCannotBeReadIsAbsent() {
    assertThat(trailerOf(LIFE, tlv(6, 1, 2, 3))).isEqualTo(HandshakeTrailer.of(7, 0, null));
    assertThat(trailerOf(LIFE, tlv(6))).isEqualTo(HandshakeTrailer.of(7, 0, null));
  }

  @Test
  void whateverDoesNotFitIsNoTrailer() {
    byte[] tlvs = join(LIFE, tlv(3, 1, 2));
    int magic = HandshakeTrailer.MAGIC;
    assertThat(HandshakeTrailer.split(footer(tlvs, tlvs.length, magic)).trailer()).isNotNull();

    assertNoTrailer(footer(tlvs, tlvs.length, magic ^ 1));
    assertNoTrailer(footer(tlvs, tlvs.length - 1, magic));
    assertNoTrailer(footer(tlvs, tlvs.length + 1, magic));
    assertNoTrailer(footer(tlvs, PARAMETERS.length + tlvs.length + 1, magic));
    assertNoTrailer(footer(tlvs, 65535, magic));
    assertNoTrailer(withTlvs(join(LIFE, new byte[] {3, 0, 1})));
    assertNoTrailer(withTlvs(join(LIFE, new byte[] {3, 0, 2, 0, 1})));
    assertNoTrailer(withTlvs(join(LIFE, tlv(2, 1))));
    byte[] magicOnly = new byte[4];
    ByteBuffer.wrap(magicOnly).order(ByteOrder.LITTLE_ENDIAN).putInt(magic);
    assertNoTrailer(magicOnly);
  }

  @Test
  void aTrailerWithoutParametersIsSplitFromNothing() {
    HandshakeTrailer.Split split =
        HandshakeTrailer.split(HandshakeTrailer.append(new byte[0], FULL));

    assertThat(split.parameters()).isEmpty();
    assertThat(split.trailer()).isEqualTo(FULL);
  }

  @Test
  void moreThanAHandshakeCarriesIsRefused() {
    HandshakeTrailer least = HandshakeTrailer.of(1, 0, null);
    int most = 65535 - 22;
    assertThat(HandshakeTrailer.append(new byte[most], least)).hasSize(65535);
    assertThatThrownBy(() -> HandshakeTrailer.append(new byte[most + 1], least))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("65536");
    byte[] huge = new byte[65536];
    HandshakeTrailer tooLong = new HandshakeTrailer(1, 0, huge, new byte[0], new byte[0], null);
    assertThatThrownBy(() -> HandshakeTrailer.append(PARAMETERS, tooLong))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> HandshakeTrailer.of(0, 0, null))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void theTrailerOfAHandshakeThatIsNotUnderstoodIsFound() {
    byte[] payload = new Handshake(99, 0, 1, HandshakeTrailer.append(PARAMETERS, FULL)).encode();
    payload[4] = 77;
    ByteBuffer buffer = ByteBuffer.allocate(payload.length + 5).position(5).put(payload).flip();
    buffer.position(5);

    assertThat(HandshakeTrailer.atEndOf(buffer)).isEqualTo(FULL);
    assertThat(buffer.position()).isEqualTo(5);
    assertThat(HandshakeTrailer.atEndOf(ByteBuffer.allocate(0))).isNull();
    assertThat(HandshakeTrailer.atEndOf(ByteBuffer.allocate(100_000))).isNull();
  }

  @Test
  void itsTextKeepsNonceAndProofToItself() {
    HandshakeTrailer one = FULL;
    HandshakeTrailer other =
        new HandshakeTrailer(
            one.life(), one.features(), one.hostIdentity(), new byte[9], new byte[9], SENDER);

    assertThat(one).hasToString(other.toString()).isNotEqualTo(other);
  }

  @Test
  @Tag("prove")
  @Tag("decoders")
  void anyBytesAreSplitWithoutAnException() {
    Random random = new Random(SEED);
    int found = 0;
    for (int i = 0; i < Mutations.COUNT; i++) {
      byte[] n = HandshakeTrailer.append(PARAMETERS, FULL);
      // In front of the footer, or everywhere: both the TLVs and their frame are to be met.
      byte[] damaged =
          random.nextBoolean()
              ? Mutations.mutate(random, n)
              : withTlvs(
                  Mutations.mutate(random, Arrays.copyOfRange(n, PARAMETERS.length, n.length - 6)));
      try {
        HandshakeTrailer.Split split = HandshakeTrailer.split(damaged);
        HandshakeTrailer atEnd = HandshakeTrailer.atEndOf(ByteBuffer.wrap(damaged));
        assertThat(atEnd).as("seed %d, round %d", SEED, i).isEqualTo(split.trailer());
        if (split.trailer() == null) {
          assertThat(split.parameters()).as("seed %d, round %d", SEED, i).isSameAs(damaged);
        } else {
          found++;
        }
      } catch (RuntimeException e) {
        throw new AssertionError("seed " + SEED + ", round " + i, e);
      }
    }
    assertThat(found).as("seed %d", SEED).isBetween(Mutations.COUNT / 10, Mutations.COUNT / 10 * 9);
  }
}
