/*
 * Memory by address: map, discard, unmap. The core; it knows nothing of Java.
 *
 * All functions may be called from any thread. Lengths are in bytes and count up to whole pages.
 */
#ifndef P2P_MEMORY_H
#define P2P_MEMORY_H

#include <stdint.h>

/* Bytes of a page, or -errno. */
int64_t p2p_memory_page_size(void);

/*
 * Maps private, zeroed, page-aligned memory. Pages are taken when they are first touched, huge ones
 * where the kernel has them.
 *
 * Returns the address, or -EINVAL if length is not positive, or -errno of mmap(2): -ENOMEM beyond
 * the address space, a limit or what the kernel is willing to promise, -EAGAIN beyond the limit of
 * locked memory where the process locks all of its memory.
 */
int64_t p2p_memory_map(int64_t length);

/*
 * Gives the pages of a range back to the kernel at once. The range stays mapped and reads zeros;
 * threads that read it meanwhile read the old bytes or zeros.
 *
 * Returns 0, or -EINVAL if the range is not a page-aligned positive address and a positive length,
 * or -errno of madvise(2): -ENOMEM if part of the range is not mapped.
 */
int64_t p2p_memory_discard(int64_t address, int64_t length);

/*
 * Unmaps a range. The caller promises that nothing reaches it any more.
 *
 * Returns 0, or -EINVAL as above, or -errno of munmap(2).
 */
int64_t p2p_memory_unmap(int64_t address, int64_t length);

#endif
