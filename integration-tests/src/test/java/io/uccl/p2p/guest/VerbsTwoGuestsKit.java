package io.uccl.p2p.guest;

import io.uccl.p2p.conformance.Standstill;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;

/**
 * The kit on the rdma transport between two guests: this one, and the one where a {@link
 * GuestAgent} starts the peers. {@link VerbsTwoGuestsTest} runs it.
 */
public class VerbsTwoGuestsKit extends VerbsKit {

  private final Cable cable = new Cable();

  /** For JUnit. */
  public VerbsTwoGuestsKit() {}

  @Override
  protected Map<String, String> environment() {
    return Map.of("UCCL_SOCKET_IFNAME", "eth0");
  }

  /** A fifth of the repetitions: two emulated machines on one move 10 to 30 MB/s. */
  @Override
  protected int slowness() {
    return 5;
  }

  @Override
  protected Process startPeer(ProcessBuilder peer) throws IOException {
    return GuestProcess.start(peer);
  }

  @Override
  protected Optional<Standstill> standstill() {
    return Optional.of(cable);
  }
}
