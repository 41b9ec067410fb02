/** What a transport implements, and what finds it. */
@NullMarked
package io.uccl.p2p.spi;

import org.jspecify.annotations.NullMarked;
