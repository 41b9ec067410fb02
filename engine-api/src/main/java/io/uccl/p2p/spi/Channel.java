package io.uccl.p2p.spi;

/**
 * The way to one peer on one transport. Threads: as {@link Transport}.
 *
 * <p>Every operation that was taken by {@link #post} is reported exactly once by {@link
 * Transport#poll}, in any order, also when the channel fails or is closed; and only when nothing
 * touches its local memory any more, however late that is. The engine does not wait for it: it
 * fails an operation in time, and holds the memory back until the report.
 */
public interface Channel {

  /**
   * Takes operations, as many from the first on as there is room for.
   *
   * <p>The engine has checked that the local range lies within its open registration and the remote
   * range within the descriptor. The slots must be copied: they may change after the return.
   *
   * @param operations where they are
   * @param first index of the first
   * @param count how many, 1 and more; no more than the window of {@link TransportContext} allows
   * @return how many were taken, 0 to {@code count}; an operation that cannot be carried out is
   *     taken, and reported as failed
   */
  int post(OpBuffer operations, int first, int count);

  /**
   * A number that grows whenever bytes of an operation move. Tells a slow peer from one that is
   * stuck.
   */
  long progress();

  /**
   * Closes it. What is outstanding is reported as failed with {@link
   * io.uccl.p2p.ResourceClosedException}; that it is closed is not reported. Does nothing to a
   * channel that has failed: its operations are reported with that failure. What can be ended is
   * ended and reported soon; half a second later the engine declares the rest failed, with its
   * memory in use until it is reported. Idempotent.
   */
  void close();
}
