package io.uccl.p2p.engine;

import org.jspecify.annotations.Nullable;

/** Something that a thread hands to the owner of the transport; it links itself into the queue. */
abstract class Submission {

  @Nullable Submission nextSubmission;

  /** Runs on the owner, once per hand-over. Must not throw. */
  abstract void execute();
}
