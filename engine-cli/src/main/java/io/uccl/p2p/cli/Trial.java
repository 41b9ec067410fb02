package io.uccl.p2p.cli;

import io.uccl.p2p.Connection;
import io.uccl.p2p.EngineConfig;
import io.uccl.p2p.MemoryRegion;
import io.uccl.p2p.P2pEngine;
import io.uccl.p2p.Transfer;
import io.uccl.p2p.spi.Availability;
import java.time.Duration;

/** A small write between two engines in this process, looked at byte by byte. */
final class Trial {

  private static final Duration PATIENCE = Duration.ofSeconds(10);
  private static final int BYTES = 65_539;

  private Trial() {}

  /** Runs it; throws what goes wrong. */
  static Result run(EngineConfig config) throws InterruptedException {
    EngineConfig second = EngineConfig.of(Variables.ofTheSecond(config.environment()));
    try (P2pEngine target = P2pEngine.open(config);
        P2pEngine initiator = P2pEngine.open(second.withTransport(target.transport().name()));
        MemoryRegion there = BenchMemory.open(target, BYTES);
        MemoryRegion here = BenchMemory.open(initiator, BYTES);
        Connection connection = initiator.connect(target.metadata(), PATIENCE)) {
      BytePattern pattern = new BytePattern(1);
      pattern.fill(Footprint.of(here));
      Transfer transfer = connection.write(here, 0, there.advertise());
      if (!transfer.await(PATIENCE)) {
        throw new ToolException(
            ExitCode.TRANSPORT_UNAVAILABLE,
            "a write of " + BYTES + " bytes did not end within " + PATIENCE.toSeconds() + " s");
      }
      BytePattern.WrongByte wrong = pattern.firstWrong(Footprint.of(there));
      if (wrong != null) {
        throw new ToolException(ExitCode.TRANSPORT_UNAVAILABLE, "a wrong byte arrived: " + wrong);
      }
      return new Result(target.metadata().toString());
    }
  }

  /**
   * What came of it.
   *
   * @param advertised where the target listened
   */
  record Result(String advertised) {

    /** The transfer itself. */
    Availability transfer() {
      return Availability.available(
          BYTES + " bytes went from one engine to another in this process, none of them wrong");
    }
  }
}
