package io.uccl.p2p.cli;

import io.uccl.p2p.cli.BenchMessage.Extent;
import io.uccl.p2p.cli.BytePattern.WrongByte;

/**
 * Fills the source before a call and looks at the destination after it. Every call has a pattern of
 * its own, so what is left from the call before is wrong.
 */
final class Checker {

  private final BenchLink link;
  private final Footprint local;
  private final Mode mode;
  private long iteration;
  private long checkedBytes;

  /**
   * Makes a checker.
   *
   * @param local this process's memory: the source of writes, the destination of reads
   */
  Checker(BenchLink link, Footprint local, Mode mode) {
    this.link = link;
    this.local = local;
    this.mode = mode;
  }

  /** Before a call that moves the first bytes of both memories. */
  void before(long bytes) throws InterruptedException {
    iteration++;
    if (mode == Mode.WRITE) {
      new BytePattern(iteration).fill(local.first(bytes));
    } else {
      link.fill(new Extent(iteration, bytes));
    }
  }

  /**
   * After that call.
   *
   * @throws ToolException naming the first wrong byte
   */
  void after(long bytes) throws InterruptedException {
    WrongByte wrong =
        mode == Mode.WRITE
            ? link.check(new Extent(iteration, bytes))
            : new BytePattern(iteration).firstWrong(local.first(bytes));
    if (wrong != null) {
      throw new ToolException(ExitCode.FAILED, "the check found a wrong byte: " + wrong);
    }
    checkedBytes += bytes;
  }

  /** Bytes that were looked at so far, and were right. */
  long checkedBytes() {
    return checkedBytes;
  }
}
