package io.uccl.p2p.engine;

import io.uccl.p2p.FailureDetail;
import io.uccl.p2p.HandshakeException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;

/**
 * What two processes tell each other before data can flow: the connecting side sends one, the other
 * answers with one.
 *
 * <pre>
 * offset  size  field
 *      0     4  magic        the transport's, see TransportProvider.handshakeMagic
 *      4     4  version      1
 *      8     4  GPU index    signed
 *     12     2  port         of the sender's own control listener; 0: it has none
 *     14     2  n            1 and more
 *     16     n  parameters   the transport's, then between JVMs a {@link HandshakeTrailer}
 * </pre>
 *
 * All fields are little-endian, the total is exactly {@code 16 + n}. The layout is the C++ engine's
 * on cxi; the other transports use it with magics of their own.
 *
 * @param magic the transport's
 * @param gpuIndex index of the GPU that the sender is near to
 * @param controlPort port of the sender's control listener, 0 to 65535
 * @param parameters the n bytes, 1 to 65535; not copied, and must not be changed
 */
@SuppressWarnings("ArrayRecordComponent") // equals, hashCode and toString look into the array
record Handshake(int magic, int gpuIndex, int controlPort, byte[] parameters) {

  /** The version that this class writes, and the only one that it reads. */
  static final int VERSION = 1;

  /** Bytes before the parameters. */
  static final int HEADER_BYTES = 16;

  /** The most bytes that {@code n} can count. */
  static final int MAX_PARAMETER_BYTES = 0xFFFF;

  /**
   * Checks the parts.
   *
   * @throws IllegalArgumentException if a field cannot hold its part
   */
  Handshake {
    if (controlPort < 0 || controlPort > 0xFFFF) {
      throw new IllegalArgumentException("port must be 0 to 65535, but is " + controlPort);
    }
    if (parameters.length < 1 || parameters.length > MAX_PARAMETER_BYTES) {
      throw new IllegalArgumentException(
          "a handshake carries 1 to 65535 bytes of parameters, but " + parameters.length);
    }
  }

  /** The frame's payload. */
  byte[] encode() {
    return ByteBuffer.allocate(HEADER_BYTES + parameters.length)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(magic)
        .putInt(VERSION)
        .putInt(gpuIndex)
        .putShort((short) controlPort)
        .putShort((short) parameters.length)
        .put(parameters)
        .array();
  }

  /**
   * Reads a frame's payload: what remains in the buffer, whose position and order are left alone
   * and ignored.
   *
   * @param expectedMagic of the transport in use
   * @param transports names of the transports that are known here, by their magic; for the error
   * @throws HandshakeException if it is not a handshake of that transport, and what it is instead
   */
  static Handshake decode(ByteBuffer payload, int expectedMagic, Map<Integer, String> transports) {
    ByteBuffer bytes = payload.slice().order(ByteOrder.LITTLE_ENDIAN);
    int length = bytes.remaining();
    if (length >= Integer.BYTES && bytes.getInt(0) != expectedMagic) {
      throw wrongMagic(bytes.getInt(0), expectedMagic, transports);
    }
    if (length < HEADER_BYTES) {
      throw malformed(
          "a handshake has at least 17 bytes, but the frame that came has " + length, "");
    }
    int version = bytes.getInt(4);
    if (version != VERSION) {
      throw malformed(
          "the peer's handshake has version "
              + Integer.toUnsignedString(version)
              + ", but only version 1 is known here",
          "Run the same release on both sides");
    }
    int n = Short.toUnsignedInt(bytes.getShort(14));
    if (n == 0) {
      throw malformed("the peer's handshake carries no transport parameters", "");
    }
    if (length != HEADER_BYTES + n) {
      throw malformed(
          "the peer's handshake announces 16 + "
              + n
              + " bytes, but the frame that came has "
              + length,
          "");
    }
    byte[] parameters = new byte[n];
    bytes.get(HEADER_BYTES, parameters);
    return new Handshake(
        expectedMagic, bytes.getInt(8), Short.toUnsignedInt(bytes.getShort(12)), parameters);
  }

  private static HandshakeException wrongMagic(
      int found, int expected, Map<Integer, String> transports) {
    String other = transports.get(found);
    String what;
    if (other != null) {
      what = "a handshake of transport " + other;
    } else if (found == ControlCodec.NOTIFICATION_MAGIC) {
      what = "a notification";
    } else if (found == ControlCodec.JVM_MAGIC) {
      what = "a frame that only follows a handshake";
    } else {
      what = "not of a known transport";
    }
    String own = transports.get(expected);
    return malformed(
        "the peer sent "
            + describe(found)
            + ", which is "
            + what
            + "; a handshake"
            + (own == null ? "" : " of transport " + own)
            + " starts with "
            + describe(expected),
        other == null ? "" : "Set UCCL_P2P_TRANSPORT to the same transport on both sides");
  }

  /** The number, and the text that its bytes are on the wire if they are text. */
  private static String describe(int magic) {
    String text = "0x" + HexFormat.of().toHexDigits(magic);
    byte[] wire = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(magic).array();
    String printable = FrameAssembler.printable(wire);
    return printable.isEmpty() ? text.toString() : text + " (\"" + printable + "\")";
  }

  private static HandshakeException malformed(String summary, String remedy) {
    return new HandshakeException(summary, FailureDetail.remedy(remedy));
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Handshake that
        && magic == that.magic
        && gpuIndex == that.gpuIndex
        && controlPort == that.controlPort
        && Arrays.equals(parameters, that.parameters);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * (31 * magic + gpuIndex) + controlPort) + Arrays.hashCode(parameters);
  }

  @Override
  public String toString() {
    return "Handshake["
        + describe(magic)
        + ", gpu "
        + gpuIndex
        + ", port "
        + controlPort
        + ", "
        + parameters.length
        + " bytes]";
  }
}
