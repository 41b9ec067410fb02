/**
 * Finds, unpacks and loads native libraries; off-heap memory for what they take, and errno values.
 */
@NullMarked
package io.uccl.p2p.spi.nativelib;

import org.jspecify.annotations.NullMarked;
