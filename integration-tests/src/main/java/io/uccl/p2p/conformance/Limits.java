package io.uccl.p2p.conformance;

import java.time.Duration;

/** How long the rules wait, and what they take for quick. */
final class Limits {

  /** For what has to happen some time: only a fault makes a rule wait so long. */
  static final Duration PATIENCE = Duration.ofSeconds(30);

  /** For what has to happen at once, on a machine that does other things too. */
  static final Duration QUICK = Duration.ofSeconds(3);

  private Limits() {}
}
