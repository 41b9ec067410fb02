package io.uccl.p2p.transport.tcp;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

/** Frames as they should be, damaged in what a hostile peer would try. */
final class HostileFrames {

  private static final long[] EXTREMES = {
    0, 1, -1, Long.MIN_VALUE, Long.MAX_VALUE, Integer.MAX_VALUE, Integer.MIN_VALUE, 0xFFFF_FFFFL
  };
  private static final int MAX_PAYLOAD = 40_000;

  private final Random random;
  private final Region target;
  private final Region readOnly;
  private final int window;

  HostileFrames(Random random, Region target, Region readOnly, int window) {
    this.random = random;
    this.target = target;
    this.readOnly = readOnly;
    this.window = window;
  }

  /** One frame with its payload; every other one is damaged. */
  ByteBuffer next() {
    ByteBuffer frame =
        ByteBuffer.allocate(TcpFrame.HEADER_BYTES + MAX_PAYLOAD).order(ByteOrder.LITTLE_ENDIAN);
    Region region = random.nextInt(4) == 0 ? readOnly : target;
    int kind = TcpFrame.WRITE + random.nextInt(random.nextInt(4) == 0 ? 4 : 2);
    boolean carries = kind == TcpFrame.WRITE || kind == TcpFrame.DATA;
    int payload = carries ? payload() : 0;
    boolean ofOurs = kind == TcpFrame.DATA || kind == TcpFrame.DONE;
    int offset = kind == TcpFrame.READ || random.nextBoolean() ? 0 : random.nextInt(MAX_PAYLOAD);
    long id = ofOurs ? (long) random.nextInt(3) << 32 | random.nextInt(window) : random.nextLong();
    TcpFrame.put(
        frame,
        0,
        kind,
        random.nextInt(2),
        kind == TcpFrame.DONE ? random.nextInt(3) : 0,
        payload,
        id,
        region.base + random.nextInt(region.size),
        offset + payload + (random.nextBoolean() ? 0 : random.nextInt(1000)),
        offset,
        region.rid,
        region.describe(0, 0).idx(),
        region.describe(0, 0).own0());
    if (random.nextBoolean()) {
      for (int n = 1 + random.nextInt(2); n > 0; n--) {
        damage(frame);
      }
    }
    for (int i = 0; i < payload; i += 97) {
      frame.put(TcpFrame.HEADER_BYTES + i, (byte) i);
    }
    return frame.limit(TcpFrame.HEADER_BYTES + payload);
  }

  private int payload() {
    return switch (random.nextInt(8)) {
      case 0 -> 16_000 + random.nextInt(MAX_PAYLOAD - 16_000);
      case 1 -> 0;
      default -> random.nextInt(500);
    };
  }

  private void damage(ByteBuffer frame) {
    int at = random.nextInt(TcpFrame.HEADER_BYTES);
    switch (random.nextInt(4)) {
      case 0 -> frame.put(at, (byte) (frame.get(at) ^ 1 << random.nextInt(8)));
      case 1 -> frame.put(at, (byte) random.nextInt(256));
      case 2 -> frame.putInt(at & ~3, (int) EXTREMES[random.nextInt(EXTREMES.length)]);
      default -> {
        int word = at & 0x38;
        long near = frame.getLong(word) + random.nextInt(3) - 1;
        frame.putLong(word, random.nextBoolean() ? near : EXTREMES[random.nextInt(8)]);
      }
    }
  }
}
