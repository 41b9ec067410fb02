package io.uccl.p2p;

import java.util.List;

/**
 * Which transport an engine uses, and why.
 *
 * @param name the transport's name, such as {@code tcp}
 * @param reason one sentence
 * @param candidates everything that was found, the chosen one included, best first
 */
public record TransportChoice(String name, String reason, List<Candidate> candidates) {

  /** Copies the list. */
  public TransportChoice {
    candidates = List.copyOf(candidates);
  }

  /**
   * A transport that was found on the class path or module path.
   *
   * @param name its name
   * @param available whether it can work on this machine
   * @param detail what it would use, or why it cannot work
   * @param remedy what to do to make it work, or to make it work well; empty if there is nothing
   */
  public record Candidate(String name, boolean available, String detail, String remedy) {}
}
