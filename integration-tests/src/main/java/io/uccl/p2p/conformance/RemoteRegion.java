package io.uccl.p2p.conformance;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import java.util.HexFormat;

/** A region in a {@link PeerProcess}. */
record RemoteRegion(PeerProcess process, String name, long length) {

  FifoDescriptor advertise() {
    return advertise(0, length);
  }

  FifoDescriptor advertise(long offset, long size) {
    return FifoDescriptor.decode(
        HexFormat.of().parseHex(process.command("advertise", name, offset, size)));
  }

  /** Fills all of it; byte i is the pattern's byte i. */
  void fill(long seed) {
    fill(0, length, seed, 0);
  }

  void fill(long offset, long size, long seed, long position) {
    process.command("fill", name, offset, size, seed, position);
  }

  /** Checks all of it, as {@link #fill(long)} left it. */
  void check(String what, long seed) {
    check(what, 0, length, seed, 0);
  }

  /** Fails if a byte is not the pattern's. */
  void check(String what, long offset, long size, long seed, long position) {
    String wrong = process.command("check", name, offset, size, seed, position);
    assertThat(Long.parseLong(wrong))
        .as(
            "%s: first wrong byte in the peer's memory, of %d at offset %d (seed %d, position %d)",
            what, size, offset, seed, position)
        .isEqualTo(-1);
  }

  void close() {
    process.command("close", name);
  }
}
