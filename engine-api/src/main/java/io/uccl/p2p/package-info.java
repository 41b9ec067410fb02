/** The API of the point-to-point transfer engine. */
@NullMarked
package io.uccl.p2p;

import org.jspecify.annotations.NullMarked;
