#define _DEFAULT_SOURCE

#include "p2p_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(sizeof(size_t) == 8 && sizeof(void *) == 8, "64-bit platforms only");

/* -errno; never 0 or more, whatever a C library leaves in errno. */
static int64_t failure(void)
{
    return errno > 0 ? -(int64_t)errno : -(int64_t)EIO;
}

static bool is_range(int64_t address, int64_t length)
{
    int64_t page = p2p_memory_page_size();
    return page > 0 && address > 0 && address % page == 0 && length > 0 &&
           address <= INT64_MAX - length;
}

int64_t p2p_memory_page_size(void)
{
    errno = 0;
    long size = sysconf(_SC_PAGESIZE);
    return size > 0 ? (int64_t)size : failure();
}

int64_t p2p_memory_map(int64_t length)
{
    if (length <= 0) {
        return -(int64_t)EINVAL;
    }
    void *address = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
    if (address == MAP_FAILED) {
        return failure();
    }
    /* An advice: a kernel without huge pages refuses it, and the memory is as good with small ones. */
    (void)madvise(address, (size_t)length, MADV_HUGEPAGE);
    return (int64_t)(intptr_t)address;
}

int64_t p2p_memory_discard(int64_t address, int64_t length)
{
    if (!is_range(address, length)) {
        return -(int64_t)EINVAL;
    }
    void *start = (void *)(intptr_t)address;
    /*
     * Not a fresh mmap(MAP_FIXED) over the range: where that fails, it can leave a hole behind, and
     * a stale view would fault.
     */
    if (madvise(start, (size_t)length, MADV_DONTNEED) == 0) {
        return 0;
    }
    if (errno != EINVAL) {
        return failure();
    }
    /* Locked pages are not given back; mlockall(2) of the process may have locked these. */
    if (munlock(start, (size_t)length) != 0) {
        return failure();
    }
    return madvise(start, (size_t)length, MADV_DONTNEED) == 0 ? 0 : failure();
}

int64_t p2p_memory_unmap(int64_t address, int64_t length)
{
    if (!is_range(address, length)) {
        return -(int64_t)EINVAL;
    }
    return munmap((void *)(intptr_t)address, (size_t)length) == 0 ? 0 : failure();
}
