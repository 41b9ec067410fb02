package io.uccl.p2p;

/** What became of an attempt to post. */
public enum PostResult {
  /** Taken. */
  POSTED,
  /** Not taken, because too much is waiting already. Nothing happened; try again later. */
  BACK_PRESSURED
}
