/** The transport over TCP. */
@NullMarked
package io.uccl.p2p.transport.tcp;

import org.jspecify.annotations.NullMarked;
