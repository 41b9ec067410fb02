package io.uccl.p2p.spi;

/** Which side of a handshake a process is. */
public enum ChannelRole {
  /** It connects: prepares, sends its parameters, completes with the answer. */
  CONNECTOR,
  /** It is connected to: prepares, completes with what it received, answers. */
  ACCEPTOR
}
