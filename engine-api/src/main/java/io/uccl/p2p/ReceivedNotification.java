package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/**
 * A notification and the connection that it came by.
 *
 * @param from the connection; null if the sender never made one (a C++ process need not), or if
 *     that cannot be told: a C++ process sends on a socket that it does not name, so that only its
 *     address is known, and there are several such peers at it
 * @param notification what was sent
 */
public record ReceivedNotification(@Nullable Connection from, Notification notification) {}
