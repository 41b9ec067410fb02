package io.uccl.p2p.transport.cxi;

import static org.assertj.core.api.Assertions.assertThat;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.spi.Channel;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.nativelib.Errno;
import io.uccl.p2p.spi.nativelib.OffHeap;
import java.util.Map;
import java.util.Optional;

/** Calls every native method of the shim, for good and with bad arguments, in a JVM of its own. */
final class CxiExercise {

  static final String DONE = "registered, written, read, failed and closed";

  private static final int BYTES = 4096;
  private static final OffHeap REPORT = new OffHeap(256);

  private CxiExercise() {}

  public static void main(String[] arguments) {
    Map<String, String> environment =
        Map.of("UCCL_CXI_PROVIDER", "cxi", "UCCL_LIBFABRIC_SO", arguments[0]);
    assertThat(new CxiTransportProvider().probe(environment).available()).isTrue();
    try (Driven driven = new Driven(environment)) {
      Channel channel = driven.connect();
      FifoDescriptor there = driven.remote.descriptor();
      assertThat(driven.written(channel, driven.local, there, BYTES)).isEmpty();
      assertThat(read(driven, channel, there)).isEmpty();
      assertThat(driven.written(channel, driven.local, withWrongKey(there), BYTES)).isPresent();
      driven.here.wakeup();
      driven.here.block(1);
      channel.close();
    }
    callWithBadArguments();
    System.out.println(DONE);
  }

  private static Optional<P2pException> read(Driven driven, Channel channel, FifoDescriptor there) {
    long id = -1;
    OpBuffer one = new OpBuffer(1);
    one.set(
        0,
        OpBuffer.READ,
        driven.local.registered(),
        driven.local.span().address(),
        0,
        BYTES,
        there,
        there.address());
    one.setId(0, id);
    driven.until(() -> channel.post(one, 0, 1) == 1);
    driven.until(() -> driven.ended.containsKey(id));
    return driven.ended.get(id);
  }

  private static FifoDescriptor withWrongKey(FifoDescriptor right) {
    return FifoDescriptor.of(
        right.address(),
        right.length(),
        right.rkey(),
        right.rid(),
        right.idx(),
        right.own0(),
        right.own1() ^ 1,
        right.own2());
  }

  private static void callWithBadArguments() {
    long report = REPORT.address();
    assertThat(CxiShim.domains(0, 0, 0, 0, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.open(0, 0, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.close(0, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.register(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.closeMemory(0, 0, true, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.outstanding(0, 0, 0)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.addPeer(0, 0, 0, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.removePeer(0, -1, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.post(0, 0, 0, 0, 0, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.poll(0, 0, 0, report)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.await(0, -1, -1)).isEqualTo(-Errno.EINVAL);
    assertThat(CxiShim.wake(-1)).isNegative();
    assertThat(CxiShim.closeWakeup(-1)).isNegative();
  }
}
