package io.uccl.p2p.cli;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.Notification;
import io.uccl.p2p.cli.BytePattern.WrongByte;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The notifications by which the process that measures and its peer talk. The name says what it is,
 * the message holds big-endian fields:
 *
 * <pre>
 * to the server             answer                    fields
 * bench/open                                          u32 version, u64 bytes of memory
 *                           bench/descriptor          64 bytes
 *                           bench/limit               u32 port, u64 token of the raw copy
 * bench/fill                                          u64 iteration, u64 bytes from the start on
 *                           bench/filled
 * bench/check                                         u64 iteration, u64 bytes from the start on
 *                           bench/checked             nothing, or u64 iteration, u64 offset,
 *                                                     u32 expected, u32 found
 * bench/done                bench/done
 *                           bench/error               text, instead of any answer
 * </pre>
 */
final class BenchMessage {

  static final String OPEN = "bench/open";
  static final String DESCRIPTOR = "bench/descriptor";
  static final String LIMIT = "bench/limit";
  static final String FILL = "bench/fill";
  static final String FILLED = "bench/filled";
  static final String CHECK = "bench/check";
  static final String CHECKED = "bench/checked";
  static final String DONE = "bench/done";
  static final String ERROR = "bench/error";

  /** Of this table. */
  static final int VERSION = 1;

  private BenchMessage() {}

  static Notification open(long bytes) {
    return of(OPEN, 12, fields -> fields.putInt(VERSION).putLong(bytes));
  }

  /**
   * Bytes of memory that an open asks for.
   *
   * @throws ToolException if it is of another version
   */
  static long openedBytes(Notification open) {
    return read(
        open,
        fields -> {
          int version = fields.getInt();
          if (version != VERSION) {
            throw new ToolException(
                ExitCode.FAILED,
                "the two processes run different versions of bench: "
                    + version
                    + " and "
                    + VERSION
                    + "; use the same build on both sides");
          }
          return fields.getLong();
        });
  }

  static Notification descriptor(FifoDescriptor descriptor) {
    return Notification.of(DESCRIPTOR, descriptor.encode());
  }

  static FifoDescriptor descriptor(Notification message) {
    return read(message, FifoDescriptor::decode);
  }

  static Notification limit(int port, long token) {
    return of(LIMIT, 12, fields -> fields.putInt(port).putLong(token));
  }

  static Invitation limit(Notification message) {
    return read(message, fields -> new Invitation(fields.getInt(), fields.getLong()));
  }

  /** {@link #FILL} or {@link #CHECK}. */
  static Notification extent(String name, Extent extent) {
    return of(name, 16, fields -> fields.putLong(extent.iteration()).putLong(extent.bytes()));
  }

  static Extent extent(Notification message) {
    return read(message, fields -> new Extent(fields.getLong(), fields.getLong()));
  }

  static Notification bare(String name) {
    return Notification.of(name, new byte[0]);
  }

  static Notification checked(@Nullable WrongByte wrong) {
    if (wrong == null) {
      return bare(CHECKED);
    }
    return of(
        CHECKED,
        24,
        fields ->
            fields
                .putLong(wrong.iteration())
                .putLong(wrong.offset())
                .putInt(wrong.expected())
                .putInt(wrong.found()));
  }

  /** What a check found wrong, or null. */
  static @Nullable WrongByte checked(Notification message) {
    if (message.message().length == 0) {
      return null;
    }
    return read(
        message,
        fields ->
            new WrongByte(fields.getLong(), fields.getLong(), fields.getInt(), fields.getInt()));
  }

  static Notification error(String text) {
    return Notification.of(ERROR, text.getBytes(StandardCharsets.UTF_8));
  }

  static String error(Notification message) {
    return new String(message.message(), StandardCharsets.UTF_8);
  }

  private static Notification of(String name, int bytes, Consumer<ByteBuffer> writer) {
    byte[] message = new byte[bytes];
    writer.accept(ByteBuffer.wrap(message));
    return Notification.of(name, message);
  }

  private static <T> T read(Notification message, Function<ByteBuffer, T> reader) {
    try {
      return reader.apply(ByteBuffer.wrap(message.message()));
    } catch (BufferUnderflowException | IllegalArgumentException e) {
      throw new ToolException(
          ExitCode.FAILED, "the peer sent a malformed " + message.nameText(), e);
    }
  }

  /** Which pattern, over how many bytes. */
  record Extent(long iteration, long bytes) {}

  /** Where the raw copy listens, and what to show there. */
  record Invitation(int port, long token) {}
}
