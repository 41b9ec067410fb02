package io.uccl.p2p;

/** What peers may do with a region. This process may always use it as source and as destination. */
public enum RegionAccess {
  /** Peers may read and write. */
  REMOTE_READ_WRITE(true, true),
  /** Peers may read. */
  REMOTE_READ(true, false),
  /** Peers may write. */
  REMOTE_WRITE(false, true),
  /** Peers may do nothing; the region cannot be advertised. */
  LOCAL(false, false);

  private final boolean remoteRead;
  private final boolean remoteWrite;

  RegionAccess(boolean remoteRead, boolean remoteWrite) {
    this.remoteRead = remoteRead;
    this.remoteWrite = remoteWrite;
  }

  /** True if peers may read. */
  public boolean remoteRead() {
    return remoteRead;
  }

  /** True if peers may write. */
  public boolean remoteWrite() {
    return remoteWrite;
  }
}
