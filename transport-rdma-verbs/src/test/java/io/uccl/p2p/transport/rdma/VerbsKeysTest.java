package io.uccl.p2p.transport.rdma;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.RegisteredMemory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VerbsKeysTest {

  private static final long GIB = 1L << 30;

  /** Of an operation whose own side does not matter. */
  private static final RegisteredMemory ANY =
      new RegisteredMemory() {
        @Override
        public FifoDescriptor describe(long offset, long length) {
          throw new UnsupportedOperationException();
        }

        @Override
        public void close() {}
      };

  @ParameterizedTest
  @CsvSource({
    // address, length, longest registration, NICs, shift
    "4096, 100, 100, 1, 63",
    "4096, 9223372036854771711, 9223372036854775807, 4, 63",
    "0x100000000, 0x40000000, 0x20000000, 1, 29",
    "0x100000000, 0x80000000, 0x20000000, 1, 29",
    // The address is no multiple of the piece's length, so there is a piece more.
    "0x100001000, 0x80000000, 0x20000000, 1, -1",
    "0x100001000, 0x60000000, 0x20000000, 1, 29",
    // Half as many for two devices, and for more none.
    "0x100000000, 0x40000000, 0x20000000, 2, 29",
    "0x100000000, 0x60000000, 0x20000000, 2, -1",
    "0x100000000, 0x40000000, 0x20000000, 3, -1",
    // A limit that is no power of two.
    "0x100000000, 0x40000000, 0x30000000, 1, 29",
    "4096, 10000, 4095, 1, -1"
  })
  void aRegionIsCutAsTheDeviceWantsItAndADescriptorCanTell(
      String address, String length, String longest, int nics, int shift) {
    assertThat(
            VerbsKeys.shift(Long.decode(address), Long.decode(length), Long.decode(longest), nics))
        .isEqualTo(shift);
  }

  @ParameterizedTest
  @CsvSource({
    // NICs, shift, address, length, all its pieces have keys
    "1, 63, 0x1000, 0x7fffffffffffefff, true",
    "1, 30, 0x10000000, 0x80000000, true",
    "1, 30, 0x40000000, 0x100000000, true",
    "1, 30, 0x40000001, 0x100000000, false",
    "2, 30, 0x40000000, 0x80000001, false",
    "4, 30, 0x40000000, 0x40000000, true",
    "4, 30, 0x40000000, 0x40000001, false",
    // What a hostile peer may say.
    "1, 0, 0x1000, 4, true",
    "1, 0, 0x1000, 5, false",
    "1, 12, 0x1000, 0x10000000, false",
    "1, 12, 0xfffffffffffff000, 0x2000, false",
    "1, 255, 0x1000, 100, false",
    "0, 63, 0x1000, 100, false",
    "5, 63, 0x1000, 100, false",
    "1, 0, 0x1000, 0, true"
  })
  void aDescriptorHasAKeyForEachPieceOfATarget(
      int nics, int shift, String address, String length, boolean all) {
    long from = Long.parseUnsignedLong(address.substring(2), 16);
    long bytes = length.startsWith("0x") ? Long.decode(length) : Long.parseLong(length);
    FifoDescriptor descriptor =
        FifoDescriptor.of(from, bytes, 0, 1, 1, 0, 0, nics | (long) shift << 8);
    OpBuffer operations = new OpBuffer(1);
    operations.set(0, OpBuffer.WRITE, ANY, 0, 0, bytes, descriptor, from);
    assertThat(VerbsKeys.hasAll(operations, 0)).isEqualTo(all);
  }

  @Test
  void eachNicHasItsKey() {
    VerbsKeys keys = new VerbsKeys(3, VerbsKeys.WHOLE, false, true);
    keys.put(0, 0, 0xA0A0A0A0);
    keys.put(1, 0, 0xB);
    keys.put(2, 0, 0xC);
    assertThat(keys.word(0)).isEqualTo(0x0000000B_A0A0A0A0L);
    assertThat(keys.word(1)).isEqualTo(0xC);
    assertThat(keys.word(2)).isEqualTo(0x02_3F_03);
    assertThat(keys.key(12345)).isEqualTo(0xA0A0A0A0);
  }

  @Test
  void eachPieceHasItsKeyOfEachNic() {
    VerbsKeys keys = new VerbsKeys(2, 30, true, false);
    for (int nic = 0; nic < 2; nic++) {
      keys.put(nic, 7, 0x70 + nic);
      keys.put(nic, 8, 0x80 + nic);
    }
    assertThat(keys.word(0)).isEqualTo(0x00000081_00000080L);
    assertThat(keys.word(1)).isEqualTo(0x00000071_00000070L);
    assertThat(keys.word(2)).isEqualTo(0x01_1E_02);
    assertThat(keys.key(7 * GIB + 5)).isEqualTo(0x70);
    assertThat(keys.key(8 * GIB)).isEqualTo(0x80);
  }
}
