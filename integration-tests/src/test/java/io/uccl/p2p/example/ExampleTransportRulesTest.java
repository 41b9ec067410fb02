package io.uccl.p2p.example;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.HandshakeException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PeerUnreachableException;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.ResourceClosedException;
import io.uccl.p2p.spi.OpBuffer;
import io.uccl.p2p.spi.RegisteredMemory;
import io.uccl.p2p.spi.TransportProvider;
import java.io.IOException;
import java.net.URLClassLoader;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The rules of the SPI's javadoc that an engine in good order would not show, kept by the example.
 */
@Timeout(60)
class ExampleTransportRulesTest {

  private static final int LARGE = 16 << 20;

  @TempDir static Path folder;
  private static URLClassLoader loader;
  private static TransportProvider provider;
  private Path sockets;
  private ExamplePair pair;

  @BeforeAll
  static void build() throws Exception {
    loader = ExampleJar.loader(ExampleJar.build(folder));
    provider = ExampleJar.provider(loader);
  }

  @AfterAll
  static void unload() throws Exception {
    loader.close();
  }

  @BeforeEach
  void open() throws Exception {
    sockets = Files.createTempDirectory(folder, "s");
    pair = new ExamplePair(provider, sockets, 512);
  }

  @AfterEach
  void close() {
    pair.close();
    assertThat(sockets).isEmptyDirectory();
  }

  @ParameterizedTest
  @ValueSource(ints = {OpBuffer.WRITE, OpBuffer.READ})
  void whatDoesNotFitIntoTheBufferIsReportedLater(int opcode) {
    pair.close();
    pair = new ExamplePair(provider, sockets, 3);
    RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, direct(64));
    RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ_WRITE, direct(64));
    pair.post(opcode, ExamplePair.WINDOW, local, remote.describe(0, 64));
    pair.until(() -> pair.here.results.size() == ExamplePair.WINDOW);
    assertThat(pair.here.results.keySet()).containsExactlyInAnyOrderElementsOf(ids());
    assertThat(pair.here.results.values()).allMatch(failure -> failure.isEmpty());
  }

  @Test
  void postTakesWhatTheWindowHasRoomFor() {
    RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, direct(64));
    RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ_WRITE, direct(64));
    pair.post(OpBuffer.WRITE, ExamplePair.WINDOW - 1, local, remote.describe(0, 64));
    OpBuffer slots = new OpBuffer(3);
    for (int i = 0; i < 3; i++) {
      FifoDescriptor range = remote.describe(0, 64);
      slots.set(i, OpBuffer.WRITE, local, ExamplePair.ADDRESS, 0, 64, range, range.address());
      slots.setId(i, 1000 + i);
    }
    assertThat(pair.channel().post(slots, 1, 2)).isEqualTo(1);
    // Slots are the engine's again once post has returned.
    slots.setId(1, 5555);
    pair.until(() -> pair.here.results.size() == ExamplePair.WINDOW);
    assertThat(pair.here.results).containsKey(1001L).doesNotContainKeys(1000L, 1002L, 5555L);
  }

  @Test
  void closingAChannelReportsWhatIsOutstandingAndNothingElse() {
    RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, direct(LARGE));
    RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ_WRITE, direct(LARGE));
    pair.post(OpBuffer.WRITE, ExamplePair.WINDOW, local, remote.describe(0, LARGE));
    pair.until(() -> pair.channel().progress() > LARGE);
    pair.channel().close();
    pair.channel().close();
    pair.until(() -> pair.here.results.size() == ExamplePair.WINDOW);
    assertThat(pair.here.results.keySet()).containsExactlyInAnyOrderElementsOf(ids());
    assertThat(pair.here.results.values())
        .allMatch(failure -> failure.orElseThrow() instanceof ResourceClosedException);
    pair.until(() -> pair.there.events.size() == 1);
    assertThat(pair.here.events).isEmpty();
    assertThat(pair.there.events.get(0).failure()).isInstanceOf(PeerLostException.class);

    // What comes later is taken, and reported too.
    pair.here.results.clear();
    pair.post(OpBuffer.READ, 1, local, remote.describe(0, 1));
    pair.until(() -> pair.here.results.size() == 1);
    assertThat(pair.here.results.get(1L).orElseThrow()).isInstanceOf(ResourceClosedException.class);
  }

  @ParameterizedTest
  @ValueSource(ints = {OpBuffer.WRITE, OpBuffer.READ})
  void aLostPeerFailsTheChannelOnceAndEveryOperationOnce(int opcode) {
    RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, direct(LARGE));
    RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ_WRITE, direct(LARGE));
    pair.post(opcode, ExamplePair.WINDOW, local, remote.describe(0, LARGE));
    pair.until(() -> pair.channel().progress() > LARGE);
    pair.there.transport.close();
    long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (pair.here.results.size() < ExamplePair.WINDOW && System.nanoTime() - limit < 0) {
      pair.here.poll();
    }
    assertThat(pair.here.results.keySet()).containsExactlyInAnyOrderElementsOf(ids());
    assertThat(pair.here.results.values())
        .allMatch(failure -> failure.orElseThrow() instanceof PeerLostException);
    assertThat(pair.here.events).hasSize(1);
    assertThat(pair.here.events.get(0).failure()).isInstanceOf(PeerLostException.class);
  }

  @Test
  void nothingArrivesInARegionThatWasClosed() {
    ByteBuffer source = direct(LARGE);
    ByteBuffer target = direct(LARGE);
    RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, filled(source));
    RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_WRITE, target);
    pair.post(OpBuffer.WRITE, 1, local, remote.describe(0, LARGE));
    pair.until(() -> target.get(0) != 0);
    remote.close();
    remote.close();
    target.put(0, new byte[LARGE]);
    pair.until(() -> pair.here.results.size() == 1);
    assertThat(pair.here.results.get(1L).orElseThrow())
        .isInstanceOf(RemoteAccessException.class)
        .hasMessageContaining("region is closed");
    assertThat(target.mismatch(direct(LARGE))).isEqualTo(-1);
    assertThat(pair.here.events).isEmpty();
  }

  @Test
  void nothingIsReadFromARegionThatWasClosed() {
    ByteBuffer source = filled(direct(LARGE));
    ByteBuffer target = direct(LARGE);
    RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, target);
    RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ, source);
    pair.post(OpBuffer.READ, 1, local, remote.describe(0, LARGE));
    pair.until(() -> target.get(0) != 0);
    remote.close();
    source.put(0, new byte[LARGE]);
    pair.until(() -> pair.here.results.size() == 1);
    assertThat(pair.here.results.get(1L).orElseThrow())
        .isInstanceOf(RemoteAccessException.class)
        .hasMessageContaining("region is closed");
    assertThat(target.get(LARGE - 1)).isZero();
    assertThat(pair.here.events).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0, 0, 0, 0, ''",
    "1, 0, 0, 0, 0, region is closed",
    "0, 1, 0, 0, 0, region is closed",
    "0, 0x100000000, 0, 0, 0, earlier life",
    "0, 0, 1, 0, 0, key",
    "0, 0, 0, 1, 0, range",
    "0, 0, 0, -1, 0, range",
    "0, 0, 0, 0, 1, range",
    "0, 0, 0, 0, 0x7fffffffffffff00, range",
    "0, 0, 0, 0x7fffffffffffffff, 0, range",
  })
  void aForgedDescriptorIsRefused(
      int rid, long idx, long key, long address, long length, String text) {
    ByteBuffer target = direct(64);
    RegisteredMemory destination = pair.here.register(1, RegionAccess.LOCAL, direct(64));
    RegisteredMemory source = pair.here.register(2, RegionAccess.LOCAL, filled(direct(65)));
    RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ_WRITE, target);
    FifoDescriptor real = remote.describe(0, 64);
    FifoDescriptor forged =
        FifoDescriptor.of(
            real.address() + address,
            real.length() + length,
            0,
            real.rid() + rid,
            real.idx() + idx,
            real.own0() + key,
            0,
            0);
    // A read, which needs no local bytes: any length can be claimed.
    pair.post(OpBuffer.READ, 1, destination, forged);
    pair.until(() -> pair.here.results.size() == 1);
    if (text.isEmpty()) {
      assertThat(pair.here.results.get(1L)).isEmpty();
    } else {
      assertThat(pair.here.results.get(1L).orElseThrow())
          .isInstanceOf(RemoteAccessException.class)
          .hasMessageContaining(text);
    }
    if (length <= 1) {
      pair.here.results.clear();
      pair.post(OpBuffer.WRITE, 1, source, forged);
      pair.until(() -> pair.here.results.size() == 1);
      assertThat(pair.here.results.get(1L).isPresent()).isEqualTo(!text.isEmpty());
      assertThat(target.get(0) != 0).as("written").isEqualTo(text.isEmpty());
    }
    assertThat(pair.here.events).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "REMOTE_READ_WRITE, true, true",
    "REMOTE_READ, true, false",
    "REMOTE_WRITE, false, true",
    "LOCAL, false, false"
  })
  void accessIsChecked(RegionAccess access, boolean reads, boolean writes) {
    RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, direct(64));
    RegisteredMemory remote = pair.there.register(1, access, direct(64));
    pair.post(OpBuffer.READ, 1, local, remote.describe(0, 64));
    pair.until(() -> pair.here.results.size() == 1);
    assertThat(pair.here.results.get(1L).isEmpty()).isEqualTo(reads);
    pair.here.results.clear();
    pair.post(OpBuffer.WRITE, 1, local, remote.describe(0, 64));
    pair.until(() -> pair.here.results.size() == 1);
    assertThat(pair.here.results.get(1L).isEmpty()).isEqualTo(writes);
  }

  @Test
  void anInterruptFlagChangesNothingAndStays() {
    ByteBuffer source = filled(direct(LARGE));
    ByteBuffer target = direct(LARGE);
    Thread.currentThread().interrupt();
    try {
      RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, source);
      RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ_WRITE, target);
      pair.post(OpBuffer.WRITE, 1, local, remote.describe(0, LARGE));
      pair.until(
          () -> {
            pair.here.transport.block(TimeUnit.SECONDS.toNanos(50));
            return pair.here.results.size() == 1;
          });
      assertThat(pair.here.results.get(1L)).isEmpty();
      assertThat(pair.here.events).isEmpty();
      assertThat(target.mismatch(source)).isEqualTo(-1);
    } finally {
      assertThat(Thread.interrupted()).isTrue();
    }
  }

  @Test
  void aWakeupIsKeptForTheNextBlock() {
    pair.channel();
    pair.until(() -> !pair.here.poll());
    pair.here.transport.wakeup();
    pair.here.poll();
    long start = System.nanoTime();
    pair.here.transport.block(TimeUnit.SECONDS.toNanos(30));
    assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(20));
    // And only for that one.
    start = System.nanoTime();
    pair.here.poll();
    pair.here.transport.block(TimeUnit.MILLISECONDS.toNanos(50));
    assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.MILLISECONDS.toNanos(25));
  }

  @Test
  void blockEndsWhenBytesComeAndWhenThereIsSomethingToSend() {
    RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, direct(64));
    RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ_WRITE, direct(64));
    pair.channel();
    pair.until(() -> !pair.here.poll() && !pair.there.poll());
    long start = System.nanoTime();
    pair.post(OpBuffer.READ, 1, local, remote.describe(0, 64));
    pair.here.transport.block(TimeUnit.SECONDS.toNanos(15));
    pair.here.poll();
    pair.there.transport.block(TimeUnit.SECONDS.toNanos(15));
    pair.there.poll();
    pair.here.transport.block(TimeUnit.SECONDS.toNanos(15));
    pair.here.poll();
    assertThat(pair.here.results).containsOnlyKeys(1L);
    assertThat(System.nanoTime() - start).isLessThan(TimeUnit.SECONDS.toNanos(10));
  }

  @Test
  void parametersThatMakeNoSenseAreRefused() {
    for (String path :
        new String[] {
          "",
          "relative/unix-p2p-1/socket",
          "/socket",
          "/run/another.socket",
          "/tmp/another/socket",
          "/tmp/unix-p2p-1/another",
          "/tmp/unix-p2p-1\0/socket"
        }) {
      byte[] name = path.getBytes(StandardCharsets.UTF_8);
      byte[] parameters = Arrays.copyOf(new byte[8], 8 + name.length);
      System.arraycopy(name, 0, parameters, 8, name.length);
      assertThatThrownBy(() -> pair.dialling.complete(parameters))
          .as(path)
          .isInstanceOf(HandshakeException.class);
    }
    assertThatThrownBy(() -> pair.waiting.complete(new byte[3]))
        .isInstanceOf(HandshakeException.class);
    pair.dialling.abort();
    pair.waiting.abort();
  }

  @Test
  void aPeerThatIsNotThereIsReportedByPoll() {
    byte[] gone = pair.waiting.parameters();
    pair.there.transport.close();
    pair.dialling.complete(gone);
    pair.here.poll();
    assertThat(pair.here.events).hasSize(1);
    assertThat(pair.here.events.get(0).failure())
        .isInstanceOf(PeerUnreachableException.class)
        .hasMessageContaining("processes of one machine");
  }

  @Test
  void itsSocketIsPrivateAndStrangersAreSentAway() throws Exception {
    byte[] parameters = pair.waiting.parameters();
    Path path = Path.of(new String(parameters, 8, parameters.length - 8, StandardCharsets.UTF_8));
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path.getParent())))
        .isEqualTo("rwx------");
    // Some say nothing, one greets with cookies of its own; the expected one comes in all the same.
    try (SocketChannel silent = SocketChannel.open(UnixDomainSocketAddress.of(path));
        SocketChannel wrong = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
      wrong.write(ByteBuffer.allocate(64));
      pair.channel();
      wrong.configureBlocking(false);
      ByteBuffer nothing = ByteBuffer.allocate(1);
      pair.until(() -> isAtEnd(wrong, nothing));
      assertThat(silent.isOpen()).isTrue();
    }
  }

  @Test
  void everySizeArrivesAsItLeft() {
    for (int size : new int[] {0, 1, 64, 32767, 32768, 32769, LARGE}) {
      ByteBuffer source = filled(direct(LARGE));
      ByteBuffer target = direct(LARGE);
      RegisteredMemory local = pair.here.register(1, RegionAccess.LOCAL, source);
      RegisteredMemory remote = pair.there.register(1, RegionAccess.REMOTE_READ_WRITE, target);
      for (int opcode : new int[] {OpBuffer.WRITE, OpBuffer.READ}) {
        pair.here.results.clear();
        pair.post(opcode, 1, local, remote.describe(0, size));
        pair.until(() -> pair.here.results.size() == 1);
        assertThat(pair.here.results.get(1L)).isEmpty();
      }
      assertThat(target.slice(0, size).mismatch(source.slice(0, size))).isEqualTo(-1);
      assertThat(target.slice(size, LARGE - size).mismatch(direct(LARGE - size))).isEqualTo(-1);
      assertThat(source.mismatch(filled(direct(LARGE)))).isEqualTo(-1);
      local.close();
      remote.close();
    }
  }

  private static boolean isAtEnd(SocketChannel socket, ByteBuffer into) {
    try {
      return socket.read(into) < 0;
    } catch (IOException e) {
      return true;
    }
  }

  private static Iterable<Long> ids() {
    return LongStream.rangeClosed(1, ExamplePair.WINDOW).boxed().toList();
  }

  private static ByteBuffer direct(int size) {
    return ByteBuffer.allocateDirect(Math.max(1, size)).limit(size);
  }

  /** Bytes that are never 0. */
  private static ByteBuffer filled(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.capacity()];
    new Random(1).nextBytes(bytes);
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] |= 1;
    }
    return buffer.put(0, bytes);
  }
}
