package io.uccl.p2p;

import org.jspecify.annotations.Nullable;

/**
 * A notification and the connection that it came by.
 *
 * @param from the connection, or null if the sender never made one (a C++ process need not)
 * @param notification what was sent
 */
public record ReceivedNotification(@Nullable Connection from, Notification notification) {}
