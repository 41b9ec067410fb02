/**
 * What a transport implements and what it is given: the way to add a network.
 *
 * <p>A transport is found by {@link java.util.ServiceLoader} as a {@link
 * io.uccl.p2p.spi.TransportProvider}. The engine drives an opened {@link io.uccl.p2p.spi.Transport}
 * from one thread at a time.
 */
@NullMarked
package io.uccl.p2p.spi;

import org.jspecify.annotations.NullMarked;
