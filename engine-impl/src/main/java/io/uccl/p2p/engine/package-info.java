/** The engine behind the API; it meets transports only through {@link java.util.ServiceLoader}. */
@NullMarked
package io.uccl.p2p.engine;

import org.jspecify.annotations.NullMarked;
