/**
 * The tcp transport: one-sided operations over one data connection per peer, in Java alone.
 *
 * <p>The target checks life, region, epoch, key, bounds and access of every frame, and acknowledges
 * a write once its bytes are in place. Large payloads go straight between registered memory and the
 * socket on both sides.
 */
@NullMarked
package io.uccl.p2p.transport.tcp;

import org.jspecify.annotations.NullMarked;
