#define _GNU_SOURCE

#include "p2p_wakeup.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int64_t p2p_wakeup_open(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd >= 0 ? fd : -(int64_t)errno;
}

int64_t p2p_wakeup_give(int32_t wakeup)
{
    uint64_t one = 1;
    /* EAGAIN: it was given so often that it cannot be counted higher; it is given. */
    return write(wakeup, &one, sizeof(one)) == (ssize_t)sizeof(one) || errno == EAGAIN
               ? 0
               : -(int64_t)errno;
}

int64_t p2p_wakeup_close(int32_t wakeup)
{
    return close(wakeup) == 0 ? 0 : -(int64_t)errno;
}
