package io.uccl.p2p.transport.rdma;

import java.util.List;

/**
 * The ports that are used, and why.
 *
 * @param ports 1 to 4, in the order in which they are opened; one that was named twice, twice
 * @param reason why these, for people
 * @param warning what will be regretted later, and the mend; or empty
 */
record VerbsChoice(List<VerbsPort> ports, String reason, String warning) {}
