#define _DEFAULT_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct p2p_verbs_memory *p2p_verbs_memory_at(struct p2p_verbs_nic *nic, int64_t index)
{
    return index >= 0 && index < P2P_VERBS_MEMORIES ? atomic_load(&nic->memories[index]) : NULL;
}

struct ibv_mr *p2p_verbs_piece_at(const struct p2p_verbs_memory *memory, uint64_t address)
{
    return memory->pieces[(address >> memory->shift) % P2P_VERBS_PIECES];
}

/* -- registering */

static int access_of(int32_t access)
{
    return IBV_ACCESS_LOCAL_WRITE |
           ((access & P2P_VERBS_REMOTE_READ) != 0 ? IBV_ACCESS_REMOTE_READ : 0) |
           ((access & P2P_VERBS_REMOTE_WRITE) != 0 ? IBV_ACCESS_REMOTE_WRITE : 0);
}

/* Closes the pieces that are there. Returns 0 or a positive errno; then some are left. */
static int close_pieces(struct p2p_verbs_nic *nic, struct p2p_verbs_memory *memory)
{
    for (int i = 0; i < P2P_VERBS_PIECES; i++) {
        int result = memory->pieces[i] == NULL ? 0 : nic->library.dereg_mr(memory->pieces[i]);
        if (result != 0) {
            return result;
        }
        memory->pieces[i] = NULL;
    }
    return 0;
}

/* Registers the pieces of a range; a dma-buf begins with the page of "from". */
static int64_t register_pieces(struct p2p_verbs_nic *nic, struct p2p_verbs_memory *memory,
                               uint64_t from, uint64_t end, int access, int32_t dmabuf,
                               struct p2p_verbs_report *report)
{
    struct p2p_verbs_library *library = &nic->library;
    uint64_t page = from - from % (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint64_t at = from; at < end;) {
        uint64_t piece = at >> memory->shift;
        uint64_t next = memory->shift >= 62 ? end : (piece + 1) << memory->shift;
        size_t length = (size_t)((next < end ? next : end) - at);
        struct ibv_mr **mr = &memory->pieces[piece % P2P_VERBS_PIECES];
        errno = 0;
        *mr = dmabuf >= 0
                  ? library->reg_dmabuf_mr(nic->pd, at - page, length, at, dmabuf, access)
                  : library->reg_mr(nic->pd, (void *)(uintptr_t)at, length, access);
        if (*mr == NULL) {
            return p2p_verbs_failed(dmabuf >= 0 ? "ibv_reg_dmabuf_mr" : "ibv_reg_mr", errno, "",
                                    report);
        }
        at += length;
    }
    return 0;
}

/* Whether so many pieces can be, and none is too long for the device. */
static bool can_be_cut(const struct p2p_verbs_nic *nic, uint64_t from, uint64_t end, int32_t shift)
{
    bool whole = shift >= 62;
    uint64_t pieces = whole ? 1 : ((end - 1) >> shift) - (from >> shift) + 1;
    return pieces <= P2P_VERBS_PIECES &&
           (int64_t)(end - from) / (int64_t)(pieces == 1 ? 1 : pieces) <= nic->longest_memory &&
           (pieces == 1 || INT64_C(1) << shift <= nic->longest_memory);
}

int64_t p2p_verbs_register(int64_t handle, int64_t index, int64_t address, int64_t length,
                           int32_t shift, int32_t access, int32_t dmabuf, uint32_t *keys,
                           struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (nic == NULL || index < 0 || index >= P2P_VERBS_MEMORIES || address <= 0 || length <= 0 ||
        length > INT64_MAX - address || shift < 12 || shift > 63 ||
        (access & ~(P2P_VERBS_REMOTE_READ | P2P_VERBS_REMOTE_WRITE)) != 0 || keys == NULL) {
        return p2p_verbs_failed("p2p_verbs_register", EINVAL, "arguments", report);
    }
    uint64_t from = (uint64_t)address;
    uint64_t end = from + (uint64_t)length;
    if (!can_be_cut(nic, from, end, shift)) {
        return p2p_verbs_failed("p2p_verbs_register", EFBIG,
                                "the device registers no memory of this length", report);
    }
    if (dmabuf >= 0 && nic->library.reg_dmabuf_mr == NULL) {
        return p2p_verbs_failed("p2p_verbs_register", ENOSYS,
                                "libibverbs has dma-buf from rdma-core 34 on", report);
    }
    if (p2p_verbs_memory_at(nic, index) != NULL) {
        return p2p_verbs_failed("p2p_verbs_register", EBUSY, "the place is taken", report);
    }
    struct p2p_verbs_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return p2p_verbs_failed("calloc", ENOMEM, "", report);
    }
    memory->shift = shift;
    int64_t result = register_pieces(nic, memory, from, end, access_of(access), dmabuf, report);
    if (result < 0) {
        /* What the device keeps, nobody was told the key of; it ends with the NIC. */
        if (close_pieces(nic, memory) == 0) {
            free(memory);
        }
        return result;
    }
    for (int i = 0; i < P2P_VERBS_PIECES; i++) {
        keys[i] = memory->pieces[i] == NULL ? 0 : memory->pieces[i]->rkey;
    }
    atomic_store(&nic->memories[index], memory);
    return 0;
}

/* -- closing */

int64_t p2p_verbs_close_memory(int64_t handle, int64_t index, struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (nic == NULL) {
        return p2p_verbs_failed("p2p_verbs_close_memory", EINVAL, "handle", report);
    }
    struct p2p_verbs_memory *memory = p2p_verbs_memory_at(nic, index);
    if (memory == NULL) {
        return p2p_verbs_failed("p2p_verbs_close_memory", ENOENT, "nothing is registered there",
                                report);
    }
    if (atomic_load(&memory->users) > 0) {
        return p2p_verbs_failed("p2p_verbs_close_memory", EAGAIN, "operations use it", report);
    }
    int result = close_pieces(nic, memory);
    if (result != 0) {
        return p2p_verbs_failed("ibv_dereg_mr", result, "", report);
    }
    atomic_store(&nic->memories[index], NULL);
    free(memory);
    return 0;
}

int64_t p2p_verbs_locked_memory_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        return -(int64_t)errno;
    }
    return limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > INT64_MAX ? INT64_MAX
                                                                         : (int64_t)limit.rlim_cur;
}
