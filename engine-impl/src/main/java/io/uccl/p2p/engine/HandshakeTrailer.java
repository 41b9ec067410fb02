package io.uccl.p2p.engine;

import io.uccl.p2p.EndpointMetadata;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What two JVM engines tell each other beyond what the C++ engine knows. It stands behind the
 * transport's parameters, within the n bytes of a {@link Handshake}, and is found from their end:
 *
 * <pre>
 * | transport's parameters | TLVs | u16 length of the TLVs | u32 trailer magic |
 *
 * TLV:  u16 type | u16 length | value
 *
 *   type  value
 *      1  life of the engine, u32, not 0                          always there
 *      2  features, u32: bit 0 = sends READY                       0 if left out
 *                        bit 1 = sends HEARTBEATs
 *                        bit 2 = sends PIECEs and ACKs
 *                        bit 3 is taken
 *                        bit 4 = made to serve both sides; others are reserved
 *      3  identity of the host, bytes                              empty if left out
 *      4  nonce, bytes                                             empty if left out
 *      5  proof, bytes                                             empty if left out
 *      6  {@link EndpointMetadata} of the sender, encoded
 * </pre>
 *
 * All numbers are little-endian. The trailer magic is {@code 0x54503250}, on the wire the text
 * {@code P2PT}.
 *
 * <p>The C++ engine hands all n bytes to its provider, which reads only as many as its addresses
 * have. It sends no trailer; and since its bytes can be any, a trailer that is damaged in the least
 * (its length or a TLV does not fit, a number has not four bytes, the life is missing or 0) is
 * taken for the transport's own bytes. Unknown types are skipped; of two of a type the first
 * counts.
 *
 * @param life of the engine, not 0
 * @param features a set of {@code FEATURE_} bits
 * @param hostIdentity empty if unknown; like the other arrays not copied, and must not be changed
 * @param nonce empty if there is none
 * @param proof empty if there is none
 * @param sender where the sender's control channel listens, or null if it did not say so in a way
 *     that can be read
 */
@SuppressWarnings("ArrayRecordComponent") // equals looks into the arrays
record HandshakeTrailer(
    int life,
    int features,
    byte[] hostIdentity,
    byte[] nonce,
    byte[] proof,
    @Nullable EndpointMetadata sender) {

  /** On the wire the text {@code P2PT}. */
  static final int MAGIC = 0x54503250;

  /** The sender confirms with a READY frame that it can receive. */
  static final int FEATURE_READY = 1;

  /** The sender sends HEARTBEAT frames to a peer that does, and takes them. */
  static final int FEATURE_HEARTBEATS = 1 << 1;

  /** The sender sends PIECE and ACK frames to a peer that does, and takes them. */
  static final int FEATURE_PIECES = 1 << 2;

  /**
   * Not of the engine but of this connection: both sides keep it for their peer, so that of two
   * that are made at the same moment one is too many.
   */
  static final int FEATURE_SHARED = 1 << 4;

  private static final int TYPE_LIFE = 1;
  private static final int TYPE_FEATURES = 2;
  private static final int TYPE_HOST_IDENTITY = 3;
  private static final int TYPE_NONCE = 4;
  private static final int TYPE_PROOF = 5;
  private static final int TYPE_SENDER = 6;

  private static final int TLV_HEADER_BYTES = 4;
  private static final int FOOTER_BYTES = 6;
  private static final byte[] NOTHING = {};

  /**
   * The n bytes taken apart.
   *
   * @param parameters the transport's; may be empty if anything but an engine sent them
   * @param trailer null if there is none, as from a C++ peer
   */
  @SuppressWarnings("ArrayRecordComponent") // only carries two results
  record Split(byte[] parameters, @Nullable HandshakeTrailer trailer) {}

  /**
   * Checks the life.
   *
   * @throws IllegalArgumentException if it is 0
   */
  HandshakeTrailer {
    if (life == 0) {
      throw new IllegalArgumentException("the life of an engine is not 0");
    }
  }

  /** A trailer with neither identity, nonce nor proof. */
  static HandshakeTrailer of(int life, int features, @Nullable EndpointMetadata sender) {
    return new HandshakeTrailer(life, features, NOTHING, NOTHING, NOTHING, sender);
  }

  /** Whether the sender confirms with a READY frame. */
  boolean sendsReady() {
    return (features & FEATURE_READY) != 0;
  }

  /** Whether all bits of a feature are set. */
  boolean has(int feature) {
    return (features & feature) == feature;
  }

  /**
   * The n bytes: the transport's parameters and a trailer.
   *
   * @throws IllegalArgumentException if they are more than a handshake can carry
   */
  static byte[] append(byte[] parameters, HandshakeTrailer trailer) {
    byte[] tlvs = trailer.encodeTlvs();
    long total = (long) parameters.length + tlvs.length + FOOTER_BYTES;
    if (total > Handshake.MAX_PARAMETER_BYTES) {
      throw new IllegalArgumentException(
          "parameters and trailer have " + total + " bytes, but a handshake carries 65535");
    }
    return ByteBuffer.allocate((int) total)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(parameters)
        .put(tlvs)
        .putShort((short) tlvs.length)
        .putInt(MAGIC)
        .array();
  }

  /** Takes the n bytes of a handshake apart. Accepts any bytes. */
  static Split split(byte[] n) {
    int start = startOfTlvs(n);
    HandshakeTrailer trailer = start < 0 ? null : decodeTlvs(n, start, n.length - FOOTER_BYTES);
    return trailer == null ? new Split(n, null) : new Split(Arrays.copyOf(n, start), trailer);
  }

  /**
   * Finds the trailer at the end of a frame that need not be a handshake that we understand: it
   * tells whether the sender can read a refusal. The buffer's position is left alone.
   *
   * @return null if there is none
   */
  static @Nullable HandshakeTrailer atEndOf(ByteBuffer payload) {
    int length = Math.min(payload.remaining(), Handshake.MAX_PARAMETER_BYTES);
    byte[] end = new byte[length];
    payload.get(payload.limit() - length, end);
    return split(end).trailer();
  }

  private static int startOfTlvs(byte[] n) {
    int end = n.length - FOOTER_BYTES;
    if (end < 0) {
      return -1;
    }
    ByteBuffer bytes = ByteBuffer.wrap(n).order(ByteOrder.LITTLE_ENDIAN);
    if (bytes.getInt(end + 2) != MAGIC) {
      return -1;
    }
    return end - Short.toUnsignedInt(bytes.getShort(end));
  }

  private static @Nullable HandshakeTrailer decodeTlvs(byte[] n, int start, int end) {
    ByteBuffer tlvs = ByteBuffer.wrap(n, start, end - start).order(ByteOrder.LITTLE_ENDIAN);
    Map<Integer, byte[]> values = new HashMap<>();
    while (tlvs.hasRemaining()) {
      if (tlvs.remaining() < TLV_HEADER_BYTES) {
        return null;
      }
      int type = Short.toUnsignedInt(tlvs.getShort());
      int length = Short.toUnsignedInt(tlvs.getShort());
      if (length > tlvs.remaining()) {
        return null;
      }
      byte[] value = new byte[length];
      tlvs.get(value);
      values.putIfAbsent(type, value);
    }
    byte[] life = values.getOrDefault(TYPE_LIFE, NOTHING);
    byte[] features = values.getOrDefault(TYPE_FEATURES, new byte[Integer.BYTES]);
    if (life.length != Integer.BYTES || number(life) == 0 || features.length != Integer.BYTES) {
      return null;
    }
    return new HandshakeTrailer(
        number(life),
        number(features),
        values.getOrDefault(TYPE_HOST_IDENTITY, NOTHING),
        values.getOrDefault(TYPE_NONCE, NOTHING),
        values.getOrDefault(TYPE_PROOF, NOTHING),
        metadata(values.getOrDefault(TYPE_SENDER, NOTHING)));
  }

  private static int number(byte[] fourBytes) {
    return ByteBuffer.wrap(fourBytes).order(ByteOrder.LITTLE_ENDIAN).getInt();
  }

  private static @Nullable EndpointMetadata metadata(byte[] value) {
    try {
      return EndpointMetadata.decode(value);
    } catch (IllegalArgumentException e) {
      // A form of a later release, or none at all: the peer's life and features are still good.
      return null;
    }
  }

  private byte[] encodeTlvs() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    put(out, TYPE_LIFE, bytes(life));
    put(out, TYPE_FEATURES, bytes(features));
    putUnlessEmpty(out, TYPE_HOST_IDENTITY, hostIdentity);
    putUnlessEmpty(out, TYPE_NONCE, nonce);
    putUnlessEmpty(out, TYPE_PROOF, proof);
    if (sender != null) {
      put(out, TYPE_SENDER, sender.encode());
    }
    return out.toByteArray();
  }

  private static byte[] bytes(int number) {
    return ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(number).array();
  }

  private static void putUnlessEmpty(ByteArrayOutputStream out, int type, byte[] value) {
    if (value.length > 0) {
      put(out, type, value);
    }
  }

  private static void put(ByteArrayOutputStream out, int type, byte[] value) {
    if (value.length > Handshake.MAX_PARAMETER_BYTES) {
      throw new IllegalArgumentException(
          "a value of " + value.length + " bytes does not fit a handshake");
    }
    out.writeBytes(
        ByteBuffer.allocate(TLV_HEADER_BYTES)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putShort((short) type)
            .putShort((short) value.length)
            .array());
    out.writeBytes(value);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof HandshakeTrailer that && Arrays.equals(encodeTlvs(), that.encodeTlvs());
  }

  @Override
  public int hashCode() {
    return 31 * life + features;
  }

  /** Without nonce and proof, which are nobody's business. */
  @Override
  public String toString() {
    return "HandshakeTrailer[life "
        + Integer.toHexString(life)
        + ", features "
        + Integer.toHexString(features)
        + ", sender "
        + sender
        + "]";
  }
}
