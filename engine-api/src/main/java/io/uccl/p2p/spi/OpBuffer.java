package io.uccl.p2p.spi;

import io.uccl.p2p.FifoDescriptor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.function.ToLongFunction;
import org.jspecify.annotations.Nullable;

/**
 * Operations in the form in which transports take them: off-heap slots of 128 bytes, two cache
 * lines each, so that a native transport reads a whole batch from one address.
 *
 * <pre>
 * offset  size  field
 *      0     8  id              comes back in the completion
 *      8     4  opcode          1 write, 2 read
 *     12     4  0
 *     16     8  local address   first byte in this process; synthetic without a native address
 *     24     8  local key       {@link RegisteredMemory#localKey()}
 *     32     8  length          bytes
 *     40     8  remote address  first byte in the target's address space
 *     48     8  local offset    first byte in the local region
 *     56     8  0
 *     64    64  the descriptor, as the target made it
 * </pre>
 *
 * All fields are little-endian. Beside the slots lies the {@link RegisteredMemory} of each, for
 * transports in Java.
 *
 * <p>Not thread-safe.
 */
public final class OpBuffer {

  /** Bytes of a slot. */
  public static final int SLOT_BYTES = 128;

  /** Opcode: local memory to remote memory. */
  public static final int WRITE = 1;

  /** Opcode: remote memory to local memory. */
  public static final int READ = 2;

  private static final int ID = 0;
  private static final int OPCODE = 8;
  private static final int LOCAL_ADDRESS = 16;
  private static final int LOCAL_KEY = 24;
  private static final int LENGTH = 32;
  private static final int REMOTE_ADDRESS = 40;
  private static final int LOCAL_OFFSET = 48;
  private static final int DESCRIPTOR = 64;

  private final ByteBuffer slots;
  private final @Nullable RegisteredMemory[] memory;
  private long address;

  /**
   * Makes an empty one.
   *
   * @param capacity slots, 1 to 1,048,576
   */
  public OpBuffer(int capacity) {
    if (capacity < 1 || capacity > 1 << 20) {
      throw new IllegalArgumentException(
          "a batch holds 1 to 1048576 operations, but " + capacity + " were asked for");
    }
    slots = ByteBuffer.allocateDirect(capacity * SLOT_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    memory = new @Nullable RegisteredMemory[capacity];
  }

  /** Slots. */
  public int capacity() {
    return memory.length;
  }

  /** The off-heap slots, little-endian; position and limit must not be changed. */
  public ByteBuffer slots() {
    return slots;
  }

  /**
   * Virtual address of the first slot, for native transports.
   *
   * @param addressOf finds the address of the slots; asked once
   */
  public long address(ToLongFunction<ByteBuffer> addressOf) {
    if (address == 0) {
      address = addressOf.applyAsLong(slots);
    }
    return address;
  }

  /** Fills a slot; its id becomes 0. */
  public void set(
      int index,
      int opcode,
      RegisteredMemory local,
      long localAddress,
      long localOffset,
      long length,
      FifoDescriptor descriptor,
      long remoteAddress) {
    int at = index * SLOT_BYTES;
    slots.putLong(at + ID, 0);
    slots.putInt(at + OPCODE, opcode);
    slots.putLong(at + LOCAL_ADDRESS, localAddress);
    slots.putLong(at + LOCAL_KEY, local.localKey());
    slots.putLong(at + LENGTH, length);
    slots.putLong(at + REMOTE_ADDRESS, remoteAddress);
    slots.putLong(at + LOCAL_OFFSET, localOffset);
    descriptor.encode(slots, at + DESCRIPTOR);
    memory[index] = local;
  }

  /** Fills a slot with a part of another buffer's operation; its id becomes 0. */
  public void setPart(int index, OpBuffer source, int sourceIndex, long offset, long length) {
    int from = sourceIndex * SLOT_BYTES;
    int at = index * SLOT_BYTES;
    slots.put(at, source.slots, from, SLOT_BYTES);
    slots.putLong(at + ID, 0);
    slots.putLong(at + LOCAL_ADDRESS, slots.getLong(at + LOCAL_ADDRESS) + offset);
    slots.putLong(at + LOCAL_OFFSET, slots.getLong(at + LOCAL_OFFSET) + offset);
    slots.putLong(at + REMOTE_ADDRESS, slots.getLong(at + REMOTE_ADDRESS) + offset);
    slots.putLong(at + LENGTH, length);
    memory[index] = source.memory[sourceIndex];
  }

  /** Lets go of the memory of all slots. */
  public void clear() {
    Arrays.fill(memory, null);
  }

  /** Sets the id that the completion will carry. */
  public void setId(int index, long id) {
    slots.putLong(index * SLOT_BYTES + ID, id);
  }

  /** The id that the completion has to carry. */
  public long id(int index) {
    return slots.getLong(index * SLOT_BYTES + ID);
  }

  /** {@link #WRITE} or {@link #READ}. */
  public int opcode(int index) {
    return slots.getInt(index * SLOT_BYTES + OPCODE);
  }

  /** The local memory. */
  public RegisteredMemory memory(int index) {
    RegisteredMemory local = memory[index];
    if (local == null) {
      throw new IllegalStateException("slot " + index + " is empty");
    }
    return local;
  }

  /** First byte in the local region. */
  public long localOffset(int index) {
    return slots.getLong(index * SLOT_BYTES + LOCAL_OFFSET);
  }

  /** Bytes. */
  public long length(int index) {
    return slots.getLong(index * SLOT_BYTES + LENGTH);
  }

  /** First byte in the target's address space. */
  public long remoteAddress(int index) {
    return slots.getLong(index * SLOT_BYTES + REMOTE_ADDRESS);
  }

  /** The descriptor's region id. */
  public int remoteRid(int index) {
    return slots.getInt(index * SLOT_BYTES + DESCRIPTOR + 20);
  }

  /** The descriptor's life and epoch. */
  public long remoteIdx(int index) {
    return slots.getLong(index * SLOT_BYTES + DESCRIPTOR + 24);
  }

  /**
   * One of the transport's own words in the descriptor.
   *
   * @param word 0, 1 or 2
   */
  public long remoteOwn(int index, int word) {
    return slots.getLong(index * SLOT_BYTES + DESCRIPTOR + 32 + 8 * word);
  }
}
