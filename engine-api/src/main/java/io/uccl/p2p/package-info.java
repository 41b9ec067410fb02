/**
 * The engine as a caller sees it: memory is registered, a range of it is advertised as a 64-byte
 * descriptor, and the peer that holds the descriptor reads or writes that range, one-sided.
 *
 * <p>Start at {@link io.uccl.p2p.P2pEngine}. Nothing here names a network; which one is used is
 * decided when the engine is opened.
 */
@NullMarked
package io.uccl.p2p;

import org.jspecify.annotations.NullMarked;
