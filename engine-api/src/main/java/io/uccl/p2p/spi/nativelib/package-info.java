/** Finds, unpacks and loads native libraries, and names errno values. */
@NullMarked
package io.uccl.p2p.spi.nativelib;

import org.jspecify.annotations.NullMarked;
