package io.uccl.p2p.engine;

import java.util.Arrays;
import java.util.Random;

/** Damages bytes in the ways that decoders meet: flipped, set to extremes, cut, longer. */
final class Mutations {

  /** How many a decoder meets. */
  static final int COUNT = Boolean.getBoolean("p2p.prove") ? 1_000_000 : 100_000;

  private Mutations() {}

  static byte[] mutate(Random random, byte[] good) {
    byte[] bytes = good.clone();
    for (int left = 1 + random.nextInt(3); left > 0; left--) {
      int at = bytes.length == 0 ? 0 : random.nextInt(bytes.length);
      switch (bytes.length == 0 ? 4 : random.nextInt(5)) {
        case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> bytes[at] = (byte) random.nextInt(256);
        case 2 -> Arrays.fill(bytes, at, Math.min(bytes.length, at + 4), (byte) 0xff);
        case 3 -> bytes = Arrays.copyOf(bytes, at);
        default -> bytes = Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(20));
      }
    }
    return bytes;
  }
}
