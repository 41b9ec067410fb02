/** The command-line tool: bench and doctor. */
@NullMarked
package io.uccl.p2p.cli;

import org.jspecify.annotations.NullMarked;
