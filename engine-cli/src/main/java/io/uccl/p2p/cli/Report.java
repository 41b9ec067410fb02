package io.uccl.p2p.cli;

/** Writes results in one form. */
interface Report {

  /** A row as soon as it is measured. */
  void row(Row row, EngineCalls calls);

  /** After the last row. */
  void end();

  /**
   * What all rows have in common.
   *
   * @param transport name
   * @param mode of the transfers
   */
  record Heading(String version, String transport, boolean simulated, Mode mode, String limit) {}
}
