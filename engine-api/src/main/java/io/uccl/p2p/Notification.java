package io.uccl.p2p;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * A short message to a peer: "it is there". Name and message are opaque bytes; either may be empty.
 *
 * <p>Immutable: arrays are copied on the way in and out.
 */
public final class Notification {

  /** The most bytes that a notification takes on the wire, its 16-byte header included: 64 MiB. */
  public static final int MAX_FRAME_BYTES = 64 << 20;

  /** Bytes before the name in a frame. */
  public static final int HEADER_BYTES = 16;

  private final int type;
  private final byte[] name;
  private final byte[] message;

  private Notification(int type, byte[] name, byte[] message) {
    long frame = (long) HEADER_BYTES + name.length + message.length;
    if (frame > MAX_FRAME_BYTES) {
      throw new IllegalArgumentException(
          "a notification has at most "
              + (MAX_FRAME_BYTES - HEADER_BYTES)
              + " bytes of name and message, but this one has "
              + (frame - HEADER_BYTES));
    }
    this.type = type;
    this.name = name;
    this.message = message;
  }

  /**
   * A notification of type 0 whose name is text (UTF-8).
   *
   * @throws IllegalArgumentException if name and message are too long for a frame
   */
  public static Notification of(String name, byte[] message) {
    return new Notification(0, name.getBytes(StandardCharsets.UTF_8), message.clone());
  }

  /**
   * A notification from all of its parts.
   *
   * @throws IllegalArgumentException if name and message are too long for a frame
   */
  public static Notification of(int type, byte[] name, byte[] message) {
    return new Notification(type, name.clone(), message.clone());
  }

  /** The type, any number. */
  public int type() {
    return type;
  }

  /** The name's bytes. */
  public byte[] name() {
    return name.clone();
  }

  /** The name, read as UTF-8. */
  public String nameText() {
    return new String(name, StandardCharsets.UTF_8);
  }

  /** The message's bytes. */
  public byte[] message() {
    return message.clone();
  }

  /** Bytes that it takes on the wire, without the frame's own length. */
  public int frameBytes() {
    return HEADER_BYTES + name.length + message.length;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Notification that
        && type == that.type
        && Arrays.equals(name, that.name)
        && Arrays.equals(message, that.message);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * type + Arrays.hashCode(name)) + Arrays.hashCode(message);
  }

  @Override
  public String toString() {
    return "Notification[type=" + type + ", name=" + nameText() + ", " + message.length + " bytes]";
  }
}
