/** The command-line tool: bench, doctor, soak. */
@NullMarked
package io.uccl.p2p.cli;

import org.jspecify.annotations.NullMarked;
