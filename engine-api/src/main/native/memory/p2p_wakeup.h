/*
 * Wake-ups: what ends a blocking wait of a shim from another thread (eventfd(2)). The wait polls the
 * descriptor beside its own and reads it.
 *
 * Results: 0 or more, or -errno.
 */
#ifndef P2P_WAKEUP_H
#define P2P_WAKEUP_H

#include <stdint.h>

/* Makes one; returns its file descriptor, which no child process inherits. */
int64_t p2p_wakeup_open(void);

/* Gives it. Any thread. */
int64_t p2p_wakeup_give(int32_t wakeup);

/* Closes it. */
int64_t p2p_wakeup_close(int32_t wakeup);

#endif
