package io.uccl.p2p.conformance;

import static io.uccl.p2p.conformance.Session.failureOf;
import static io.uccl.p2p.conformance.Session.fill;
import static io.uccl.p2p.conformance.Session.finish;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.uccl.p2p.BufferState;
import io.uccl.p2p.Connection;
import io.uccl.p2p.FifoDescriptor;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.Notification;
import io.uccl.p2p.P2pException;
import io.uccl.p2p.PeerLostException;
import io.uccl.p2p.PostResult;
import io.uccl.p2p.RegionAccess;
import io.uccl.p2p.RemoteAccessException;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.TransferBatch;
import io.uccl.p2p.TransferStatus;
import io.uccl.p2p.spi.TransportCapabilities.Refusal;
import io.uccl.p2p.spi.TransportCapabilities.TargetChecks;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * Rules about what the target refuses: always a typed error, nothing written, and a way to go on.
 */
abstract class RefusalRules extends Rules {

  private static final int SIZE = 20_000;

  /** Where a descriptor says of which life it is. */
  private static final int LIFE = 28;

  private static final long HERE = 404;
  private static final long THERE = 505;

  RefusalRules(TransportConformance kit) {
    super(kit);
  }

  @Test
  @DisplayName("R1 A closed region of the peer is out of reach")
  void closedRegion() throws InterruptedException {
    try (Session session = session()) {
      RemoteRegion remote = session.remote(SIZE);
      remote.fill(THERE);
      FifoDescriptor there = remote.advertise();
      remote.close();
      // What comes behind the news of the close has come, so that has come too.
      session.back().notifyPeer(Notification.of("closed", new byte[0]));
      assertThat(session.engine().takeNotification(Limits.PATIENCE)).isNotNull();
      MemoryRegion local = session.local(SIZE);
      fill(local, HERE);
      // A connection that was told of the close refuses on this side, whatever the network.
      Connection told = session.connection();
      for (Transfer each : List.of(told.write(local, 0, there), told.read(local, 0, there))) {
        assertThat(failureOf(each))
            .isInstanceOf(RemoteAccessException.class)
            .hasMessageContaining("closed the region");
        assertThat(each.buffer()).isEqualTo(BufferState.FREE);
      }
      Session.check("a refused read", local, HERE);
      remote.check("a refused write", THERE);
      LocalRules.stillWorks(told, local, session.remote(SIZE));
      Assumptions.assumeTrue(
          kit().capabilities().revokesOnClose(), "the transport does not revoke on close");
      // One that was made later was not told, so the target has to refuse.
      refused(session, session.connectAgain(), remote, "a closed region", there, true);
      refused(session, session.connectAgain(), remote, "a closed region", there, false);
    }
  }

  @Test
  @DisplayName("R2 A wrong key opens nothing")
  void wrongKey() throws InterruptedException {
    try (Session session = session()) {
      RemoteRegion remote = session.remote(SIZE);
      remote.fill(THERE);
      FifoDescriptor right = remote.advertise();
      FifoDescriptor wrong = kit().withWrongKey(right);
      assertThat(wrong).isNotEqualTo(right);
      refused(session, remote, "a wrong key", wrong, true);
      refused(session, remote, "a wrong key", wrong, false);
    }
  }

  @Test
  @DisplayName("R3 Nothing beyond the bounds of a region can be reached, not even in part")
  void outOfBounds() throws InterruptedException {
    try (Session session = session()) {
      RemoteRegion remote = session.remote(SIZE);
      remote.fill(THERE);
      FifoDescriptor right = remote.advertise();
      long[][] ranges = {
        {0, SIZE + 1}, {1, SIZE}, {SIZE, 1}, {-1, SIZE}, {-1, 1}, {SIZE + (1L << 32), 1}
      };
      for (long[] range : ranges) {
        FifoDescriptor wrong = forged(right, range[0], range[1], right.rid(), right.idx());
        String what = "a range of " + range[1] + " at " + range[0];
        refused(session, remote, what, wrong, true);
        refused(session, remote, what, wrong, false);
      }
    }
  }

  @Test
  @DisplayName("R4 A descriptor of another life of the peer is refused on this side")
  void otherLife() throws InterruptedException {
    try (Session session = session()) {
      RemoteRegion remote = session.remote(SIZE);
      remote.fill(THERE);
      FifoDescriptor right = remote.advertise();
      FifoDescriptor wrong = forged(right, 0, SIZE, right.rid(), right.idx() ^ (1L << 40));
      MemoryRegion local = session.local(SIZE);
      Connection connection = session.connection();
      assertThatExceptionOfType(RemoteAccessException.class)
          .isThrownBy(() -> connection.write(local, 0, wrong));
      assertThatExceptionOfType(RemoteAccessException.class)
          .isThrownBy(() -> connection.read(local, 0, wrong));
      try (TransferBatch batch = connection.newBatch(1)) {
        assertThatExceptionOfType(RemoteAccessException.class)
            .isThrownBy(() -> batch.write(local, 0, wrong, 0, SIZE));
      }
      // Another engine of the same process is another life, too.
      try (RemoteEngine other = peer().open(config())) {
        FifoDescriptor foreign = other.register(SIZE).advertise();
        assertThatExceptionOfType(RemoteAccessException.class)
            .isThrownBy(() -> connection.write(local, 0, foreign));
      }
      remote.check("nothing was written", THERE);
      LocalRules.stillWorks(connection, local, remote);
    }
  }

  @Test
  @DisplayName("R5 A wrong region or epoch is refused, though address and key are right")
  void wrongRegionOrEpoch() throws InterruptedException {
    assumeAllIsChecked();
    try (Session session = session()) {
      RemoteRegion remote = session.remote(SIZE);
      RemoteRegion other = session.remote(SIZE);
      remote.fill(THERE);
      other.fill(THERE);
      FifoDescriptor right = remote.advertise();
      int[] rids = {right.rid() + 1000, other.advertise().rid(), 0, -1};
      for (int rid : rids) {
        FifoDescriptor wrong = forged(right, 0, SIZE, rid, right.idx());
        refused(session, remote, "region " + rid, wrong, true);
        refused(session, remote, "region " + rid, wrong, false);
      }
      FifoDescriptor wrong = forged(right, 0, SIZE, right.rid(), right.idx() ^ 1);
      refused(session, remote, "a wrong epoch", wrong, true);
      refused(session, remote, "a wrong epoch", wrong, false);
      other.check("nothing was written", THERE);
    }
  }

  @Test
  @DisplayName("R6 Only what a region's access allows is done")
  void access() throws InterruptedException {
    try (Session session = session()) {
      RemoteRegion readable = session.peer().register(SIZE, RegionAccess.REMOTE_READ);
      RemoteRegion writable = session.peer().register(SIZE, RegionAccess.REMOTE_WRITE);
      readable.fill(THERE);
      writable.fill(THERE);
      refused(session, readable, "a write to readable memory", readable.advertise(), true);
      refused(session, writable, "a read of writable memory", writable.advertise(), false);
      // And what is allowed works.
      Connection connection = session.connectAgain();
      MemoryRegion local = session.local(SIZE);
      finish(connection.read(local, 0, readable.advertise()));
      Session.check("an allowed read", local, THERE);
      fill(local, HERE);
      finish(connection.write(local, 0, writable.advertise()));
      writable.check("an allowed write", HERE);
    }
  }

  @Test
  @DisplayName("R7 Of a batch that holds something refused, the failure names that operation")
  void refusedInABatch() throws InterruptedException {
    try (Session session = session()) {
      RemoteRegion good = session.remote(SIZE);
      RemoteRegion bad = session.peer().register(SIZE, RegionAccess.REMOTE_READ);
      bad.fill(THERE);
      MemoryRegion local = session.local(SIZE);
      fill(local, HERE);
      FifoDescriptor there = good.advertise();
      try (TransferBatch batch = session.connection().newBatch(10)) {
        for (int i = 0; i < 10; i++) {
          batch.write(local, i * 100L, i == 5 ? bad.advertise() : there, i * 100L, 100);
        }
        assertThat(batch.post()).isEqualTo(PostResult.POSTED);
        P2pException failure = failureOf(batch);
        assertThat(batch.status(5)).isEqualTo(TransferStatus.FAILED);
        assertThat(batch.buffer()).isEqualTo(BufferState.FREE);
        bad.check("nothing was written", THERE);
        if (kit().capabilities().refusal() == Refusal.PER_OPERATION) {
          assertThat(failure).isInstanceOf(RemoteAccessException.class);
          assertThat(failure.detail().operation()).contains("write").contains("operation 5 of 10");
          for (int i = 0; i < 10; i++) {
            TransferStatus expected = i == 5 ? TransferStatus.FAILED : TransferStatus.DONE;
            assertThat(batch.status(i)).as("operation %d", i).isEqualTo(expected);
          }
          good.check("what was good, before", 0, 500, HERE, 0);
          good.check("what was good, after", 600, 400, HERE, 600);
          good.check("the place of what was refused", 500, 100, 0, 0);
        }
      }
    }
  }

  @Test
  @DisplayName("R8 A large operation is refused whole, cut or not, and others go on meanwhile")
  void largeRefusals() throws InterruptedException {
    int size = 9_000_001;
    try (Session whole = session();
        Session cut = session(config().withMaxOperationBytes(1 << 20))) {
      for (Session session : new Session[] {whole, cut}) {
        RemoteRegion remote = session.peer().register(size, RegionAccess.REMOTE_READ);
        remote.fill(THERE);
        MemoryRegion local = session.local(size);
        MemoryRegion other = session.local(SIZE);
        RemoteRegion target = session.remote(SIZE);
        fill(local, HERE);
        fill(other, HERE);
        FifoDescriptor there = target.advertise();
        Connection connection = session.connection();
        Transfer refused = connection.write(local, 0, remote.advertise());
        Transfer meanwhile = connection.write(other, 0, there);
        assertRefused("large operation", failureOf(refused));
        remote.check("nothing was written", THERE);
        if (kit().capabilities().refusal() == Refusal.PER_OPERATION) {
          finish(meanwhile);
          target.check("the other operation", HERE);
        }
        usable(session, connection);
      }
    }
  }

  @Test
  @DisplayName("R9 A failure names the transport, the peer, the operation and its range")
  void failuresSayEverything() throws InterruptedException {
    try (Session session = session()) {
      RemoteRegion remote = session.remote(SIZE);
      remote.fill(THERE);
      FifoDescriptor wrong = kit().withWrongKey(remote.advertise());
      MemoryRegion local = session.local(SIZE);
      P2pException failure = failureOf(session.connection().write(local, 17, wrong, 5, 1234));
      assertThat(failure.detail().transport()).isEqualTo(session.engine().transport().name());
      assertThat(failure.detail().peer()).contains(session.peer().metadata().toString());
      assertThat(failure.detail().operation()).contains("write").contains("1234");
      assertThat(failure.detail().range()).contains(Long.toHexString(wrong.address() + 5));
      assertThat(failure).hasMessageContaining("1234");
    }
  }

  @Test
  @DisplayName("R10 A descriptor of a closed region does not open its successor in the same memory")
  void successorInTheSameMemory() throws InterruptedException {
    assumeAllIsChecked();
    TransportConformance.requireNativeMemory();
    ByteBuffer memory = ByteBuffer.allocateDirect(SIZE);
    try (Session session = session()) {
      // The target is on this side.
      RemoteRegion source = session.remote(SIZE);
      source.fill(THERE);
      MemoryRegion first = session.engine().register(memory);
      FifoDescriptor stale = first.advertise();
      first.close();
      MemoryRegion second = session.engine().register(memory);
      fill(second, HERE);
      assertThat(second.address()).isEqualTo(stale.address());
      // The peer's other connection was told of the close, and would refuse on its side.
      RemoteConnection back = session.peer().connect(session.engine().metadata());
      assertThatExceptionOfType(PeerFailure.class)
          .isThrownBy(
              () -> back.run(new RemoteConnection.Operation(true, source, 0, stale, 0, SIZE)))
          .satisfies(this::assertRefused);
      Session.check("the successor", second, HERE);
    }
    assertThat(Pattern.mismatch(memory, HERE, 0)).isEqualTo(-1);
  }

  @Test
  @DisplayName("R11 Memory for this side alone is out of reach, even with the right descriptor")
  void localMemory() throws InterruptedException {
    try (Watch watch = Watch.open();
        Session session = session(kit().config(watch))) {
      MemoryRegion open = session.local(SIZE);
      assertThat(watch.registered().get(0).describe(0, SIZE))
          .as("what the transport itself says")
          .isEqualTo(open.advertise());
      ByteBuffer memory = ByteBuffer.allocateDirect(SIZE);
      MemoryRegion local = session.engine().register(memory, RegionAccess.LOCAL);
      fill(local, HERE);
      FifoDescriptor right = watch.registered().get(0).describe(0, SIZE);
      RemoteRegion remote = session.remote(SIZE);
      remote.fill(THERE);
      for (boolean write : new boolean[] {true, false}) {
        RemoteConnection theirs = session.peer().connect(session.engine().metadata());
        assertThatExceptionOfType(PeerFailure.class)
            .isThrownBy(
                () -> theirs.run(new RemoteConnection.Operation(write, remote, 0, right, 0, SIZE)))
            .satisfies(this::assertRefused);
        Session.check("the memory", local, HERE);
        remote.check("the peer's own", THERE);
      }
      LocalRules.stillWorks(session.connectAgain(), local, remote);
    }
  }

  @Test
  @DisplayName("R12 A region closes under those who write to it, and no late byte comes")
  void closedUnderWriters() throws InterruptedException {
    int writers = 8;
    int operations = 64;
    int size = 1 << 20;
    for (int round = 0; round < times(10); round++) {
      ByteBuffer memory = ByteBuffer.allocateDirect(size);
      try (Session session = session()) {
        RemoteRegion source = session.remote(size);
        source.fill(THERE);
        MemoryRegion target = session.engine().register(memory);
        FifoDescriptor here = target.advertise();
        RemoteConnection.Operation one =
            new RemoteConnection.Operation(true, source, 0, here, 0, size);
        List<RemoteConnection> back = new ArrayList<>();
        List<String> batches = new ArrayList<>();
        for (int i = 0; i < writers; i++) {
          back.add(i == 0 ? session.back() : session.peer().connect(session.engine().metadata()));
          batches.add(back.get(i).post(Collections.nCopies(operations, one)));
        }
        target.close();
        if (kit().capabilities().revokesOnClose()) {
          Pattern.fill(memory, HERE, 0);
        }
        for (int i = 0; i < writers; i++) {
          endedOrRefused(back.get(i), batches.get(i));
        }
        if (kit().capabilities().revokesOnClose()) {
          assertThat(Pattern.mismatch(memory, HERE, 0)).as("a late byte").isEqualTo(-1);
        }
        if (kit().capabilities().refusal() == Refusal.PER_OPERATION) {
          MemoryRegion open = session.local(size);
          for (RemoteConnection each : back) {
            each.run(new RemoteConnection.Operation(true, source, 0, open.advertise(), 0, size));
          }
        }
      }
    }
  }

  @Test
  @DisplayName("R13 Whatever a descriptor says, it costs an operation or its connection alone")
  void damagedDescriptors() throws InterruptedException {
    try (Session session = session()) {
      Connection beside = session.connectAgain();
      RemoteRegion remote = session.remote(SIZE);
      RemoteRegion closedToAll = session.peer().register(SIZE, RegionAccess.LOCAL);
      closedToAll.fill(THERE);
      MemoryRegion local = session.local(3 * SIZE);
      fill(local, HERE);
      List<FifoDescriptor> all = damaged(remote.advertise());
      Connection connection = session.connection();
      for (int round = 0; round < times(all.size()); round++) {
        FifoDescriptor wrong = all.get(round);
        long length = Math.min(SIZE, wrong.length());
        Transfer transfer =
            round % 2 == 0
                ? connection.write(local, SIZE, wrong, 0, length)
                : connection.read(local, SIZE, wrong, 0, length);
        String what = "descriptor " + wrong + ", " + seedText();
        endedOrRefused(what, transfer);
        Session.check(what, local, 0, SIZE, HERE, 0);
        Session.check(what, local, 2 * SIZE, SIZE, HERE, 2 * SIZE);
        if (!connection.isOpen()) {
          connection = session.connectAgain();
        }
      }
      closedToAll.check("memory for the peer alone", THERE);
      LocalRules.stillWorks(beside, local, remote);
      LocalRules.stillWorks(connection, local, remote);
    }
  }

  /** A right one with one byte that is another, and some of any bytes; all of the right life. */
  private List<FifoDescriptor> damaged(FifoDescriptor right) {
    List<byte[]> all = new ArrayList<>();
    for (int at = 0; at < FifoDescriptor.BYTES; at++) {
      for (byte value : new byte[] {0, 1, -1}) {
        byte[] bytes = right.encode();
        bytes[at] = value;
        all.add(bytes);
      }
    }
    Random random = random();
    for (int i = 0; i < 20; i++) {
      byte[] bytes = new byte[FifoDescriptor.BYTES];
      random.nextBytes(bytes);
      all.add(bytes);
    }
    Collections.shuffle(all, random);
    // One of another life does not come to the transport: R4.
    all.forEach(bytes -> System.arraycopy(right.encode(), LIFE, bytes, LIFE, Integer.BYTES));
    return all.stream().map(FifoDescriptor::decode).filter(each -> !each.equals(right)).toList();
  }

  private void endedOrRefused(String what, Transfer transfer) throws InterruptedException {
    try {
      assertThat(transfer.await(Limits.PATIENCE)).as("%s: it ended in time", what).isTrue();
    } catch (P2pException e) {
      assertRefused(what, e);
    }
    assertThat(transfer.buffer()).as(what).isEqualTo(BufferState.FREE);
  }

  private void endedOrRefused(RemoteConnection connection, String batch) {
    try {
      connection.await(batch);
    } catch (PeerFailure e) {
      assertRefused(e);
    }
  }

  private void assumeAllIsChecked() {
    Assumptions.assumeTrue(
        kit().capabilities().targetChecks() == TargetChecks.ALL, "the NIC checks its key alone");
  }

  /** A descriptor of another range, region or epoch, with the key of a real one. */
  private static FifoDescriptor forged(
      FifoDescriptor right, long offset, long length, int rid, long idx) {
    return FifoDescriptor.of(
        right.address() + offset,
        length,
        right.rkey(),
        rid,
        idx,
        right.own0(),
        right.own1(),
        right.own2());
  }

  /** Sees an operation refused, memory unchanged, and the way to go on. */
  private void refused(
      Session session, RemoteRegion remote, String what, FifoDescriptor wrong, boolean write)
      throws InterruptedException {
    Connection connection =
        session.connection().isOpen() ? session.connection() : session.connectAgain();
    refused(session, connection, remote, what, wrong, write);
  }

  private void refused(
      Session session,
      Connection connection,
      RemoteRegion remote,
      String what,
      FifoDescriptor wrong,
      boolean write)
      throws InterruptedException {
    MemoryRegion local = session.local((int) Math.max(wrong.length(), 1));
    fill(local, HERE);
    Transfer transfer =
        write ? connection.write(local, 0, wrong) : connection.read(local, 0, wrong);
    assertRefused((write ? "write of " : "read of ") + what, failureOf(transfer));
    assertThat(transfer.buffer()).isEqualTo(BufferState.FREE);
    remote.check(what, THERE);
    Session.check(what, local, HERE);
    local.close();
    usable(session, connection);
  }

  private void assertRefused(String what, P2pException failure) {
    assertThat(failure.getClass().getName()).as("%s: %s", what, failure).isIn(refusals());
  }

  private void assertRefused(PeerFailure failure) {
    assertThat(failure.type()).as("%s", failure).isIn(refusals());
  }

  /** Where refusals break the connection, the network may not say why it broke. */
  private List<String> refusals() {
    String refused = RemoteAccessException.class.getName();
    return kit().capabilities().refusal() == Refusal.BREAKS_CONNECTION
        ? List.of(refused, PeerLostException.class.getName())
        : List.of(refused);
  }

  /** After a refusal the connection, or a new one if refusals break it, works. */
  private void usable(Session session, Connection connection) throws InterruptedException {
    Connection next = connection;
    if (kit().capabilities().refusal() == Refusal.BREAKS_CONNECTION && !connection.isOpen()) {
      next = session.connectAgain();
    }
    MemoryRegion local = session.local(1000);
    RemoteRegion remote = session.remote(1000);
    LocalRules.stillWorks(next, local, remote);
    local.close();
    remote.close();
  }
}
