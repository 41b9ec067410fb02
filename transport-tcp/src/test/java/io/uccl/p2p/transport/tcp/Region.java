package io.uccl.p2p.transport.tcp;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.spi.MemorySpan;
import io.uccl.p2p.spi.RegionName;
import java.nio.ByteBuffer;
import java.util.Random;

/** A registered region between two guards, and a copy of what it has to hold. */
final class Region {

  static final int GUARD = 4096;
  private static final byte GUARD_BYTE = (byte) 0xA5;
  private static final long LIFE = 7;

  private final ByteBuffer all;
  private final ByteBuffer guards;
  private final ByteBuffer expected;
  final int size;
  final int rid;
  final long base;
  final RegionAccess access;
  final TcpMemory memory;

  Region(TcpTransport transport, int rid, int size, RegionAccess access) {
    this.size = size;
    this.rid = rid;
    this.access = access;
    base = 0x1000_0000L * rid;
    all = ByteBuffer.allocateDirect(size + 2 * GUARD);
    guards = ByteBuffer.allocateDirect(GUARD);
    while (guards.hasRemaining()) {
      guards.put(GUARD_BYTE);
    }
    guards.flip();
    all.put(0, guards, 0, GUARD).put(GUARD + size, guards, 0, GUARD);
    expected = ByteBuffer.allocateDirect(size);
    ByteBuffer middle = all.slice(GUARD, size);
    memory =
        (TcpMemory)
            transport.register(
                new RegionName(rid, idx(LIFE, rid), access), MemorySpan.of(middle, base));
  }

  static long idx(long life, int epoch) {
    return life << 32 | epoch;
  }

  void fill(Random random) {
    byte[] bytes = new byte[size];
    random.nextBytes(bytes);
    all.put(GUARD, bytes);
    expected.put(0, bytes);
  }

  void fill(byte value) {
    for (int i = 0; i < size; i++) {
      all.put(GUARD + i, value);
      expected.put(i, value);
    }
  }

  /** Says that a piece must hold the bytes of another region's piece. */
  void expect(int offset, Region source, int sourceOffset, int length) {
    expected.put(offset, source.expected, sourceOffset, length);
  }

  boolean holds(int offset, Region source, int sourceOffset, int length) {
    return all.slice(GUARD + offset, length).equals(source.all.slice(GUARD + sourceOffset, length));
  }

  FifoDescriptor describe(long offset, long length) {
    return memory.describe(offset, length);
  }

  void assertAsExpected(String what) {
    assertGuards(what);
    int at = all.slice(GUARD, size).mismatch(expected.duplicate().clear());
    assertThat(at).as("%s: first wrong byte of region %d", what, rid).isEqualTo(-1);
  }

  void assertGuards(String what) {
    assertThat(all.slice(0, GUARD)).as("%s: guard before region %d", what, rid).isEqualTo(guards);
    assertThat(all.slice(GUARD + size, GUARD))
        .as("%s: guard behind region %d", what, rid)
        .isEqualTo(guards);
  }
}
