/**
 * Finds, unpacks and loads native libraries; what they share: off-heap memory, wake-ups, places of
 * their tables, errno values.
 */
@NullMarked
package io.uccl.p2p.spi.nativelib;

import org.jspecify.annotations.NullMarked;
