/** The transport over HPE Slingshot, through libfabric's {@code cxi} provider. */
@NullMarked
package io.uccl.p2p.transport.cxi;

import org.jspecify.annotations.NullMarked;
