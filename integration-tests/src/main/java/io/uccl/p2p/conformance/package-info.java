/** The conformance kit: the rules of the engine as tests that authors of transports run. */
@NullMarked
package io.uccl.p2p.conformance;

import org.jspecify.annotations.NullMarked;
