/*
 * Counts how often Java comes here, in a build of the shim for tests alone. The linker puts these
 * functions between the veneer and the core (ld(1), --wrap): each function of the veneer calls one of
 * the core, once.
 *
 * The counts are in the file that the environment variable P2P_CXI_CROSSINGS names, for others to map:
 *
 *  offset size
 *       0    8  calls of post
 *       8    8  calls of poll
 *      16    8  calls of poll that gave completions back
 *      24    8  completions that they gave back
 *      32    8  calls of await
 */
#define _GNU_SOURCE

#include "p2p_cxi.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    _Atomic int64_t posts;
    _Atomic int64_t polls;
    _Atomic int64_t fruitful_polls;
    _Atomic int64_t completions;
    _Atomic int64_t awaits;
};

_Static_assert(sizeof(struct counts) == 40, "as drawn");

static struct counts *counts;

__attribute__((constructor)) static void map_counts(void)
{
    const char *name = getenv("P2P_CXI_CROSSINGS");
    int fd = name == NULL ? -1 : open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *mapped = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(struct counts)) == 0) {
        mapped = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (mapped == MAP_FAILED) {
        fputs("P2P_CXI_CROSSINGS must name a file that can be written\n", stderr);
        abort();
    }
    close(fd);
    counts = mapped;
}

static void count(_Atomic int64_t *what, int64_t n)
{
    atomic_fetch_add_explicit(what, n, memory_order_relaxed);
}

/* The linker's names for the core's functions, and for those that are called in their place. */
int64_t __real_p2p_cxi_post(int64_t, int64_t, int32_t, int64_t, int64_t, struct p2p_cxi_report *);
int64_t __wrap_p2p_cxi_post(int64_t, int64_t, int32_t, int64_t, int64_t, struct p2p_cxi_report *);
int64_t __real_p2p_cxi_poll(int64_t, int64_t, int64_t, struct p2p_cxi_report *);
int64_t __wrap_p2p_cxi_poll(int64_t, int64_t, int64_t, struct p2p_cxi_report *);
int64_t __real_p2p_cxi_wait(int64_t, int32_t, int64_t);
int64_t __wrap_p2p_cxi_wait(int64_t, int32_t, int64_t);

int64_t __wrap_p2p_cxi_post(int64_t endpoint, int64_t peer, int32_t channel, int64_t slots,
                            int64_t number, struct p2p_cxi_report *report)
{
    count(&counts->posts, 1);
    return __real_p2p_cxi_post(endpoint, peer, channel, slots, number, report);
}

int64_t __wrap_p2p_cxi_poll(int64_t endpoint, int64_t completions, int64_t number,
                            struct p2p_cxi_report *report)
{
    int64_t read = __real_p2p_cxi_poll(endpoint, completions, number, report);
    count(&counts->polls, 1);
    if (read > 0) {
        count(&counts->fruitful_polls, 1);
        count(&counts->completions, read);
    }
    return read;
}

int64_t __wrap_p2p_cxi_wait(int64_t endpoint, int32_t wakeup, int64_t nanos)
{
    count(&counts->awaits, 1);
    return __real_p2p_cxi_wait(endpoint, wakeup, nanos);
}
