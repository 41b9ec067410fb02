#define _DEFAULT_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct p2p_verbs_memory *p2p_verbs_memory_at(struct p2p_verbs_nic *nic, int64_t index)
{
    return index >= 0 && index < P2P_VERBS_MEMORIES ? atomic_load(&nic->memories[index]) : NULL;
}

static int access_of(int32_t access)
{
    return IBV_ACCESS_LOCAL_WRITE |
           ((access & P2P_VERBS_REMOTE_READ) != 0 ? IBV_ACCESS_REMOTE_READ : 0) |
           ((access & P2P_VERBS_REMOTE_WRITE) != 0 ? IBV_ACCESS_REMOTE_WRITE : 0);
}

int64_t p2p_verbs_register(int64_t handle, int64_t index, int64_t address, int64_t length,
                           int32_t access, int32_t dmabuf, int64_t *key,
                           struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (nic == NULL || index < 0 || index >= P2P_VERBS_MEMORIES || address <= 0 || length <= 0 ||
        length > INT64_MAX - address ||
        (access & ~(P2P_VERBS_REMOTE_READ | P2P_VERBS_REMOTE_WRITE)) != 0 || key == NULL) {
        return p2p_verbs_failed("p2p_verbs_register", EINVAL, "arguments", report);
    }
    if (length > nic->longest_memory) {
        return p2p_verbs_failed("p2p_verbs_register", EFBIG,
                                "the device registers no memory of this length", report);
    }
    struct p2p_verbs_library *library = &nic->library;
    if (dmabuf >= 0 && library->reg_dmabuf_mr == NULL) {
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
    errno = 0;
    if (dmabuf >= 0) {
        uint64_t offset = (uint64_t)address % (uint64_t)sysconf(_SC_PAGESIZE);
        memory->mr = library->reg_dmabuf_mr(nic->pd, offset, (size_t)length, (uint64_t)address,
                                            dmabuf, access_of(access));
    } else {
        memory->mr = library->reg_mr(nic->pd, (void *)(intptr_t)address, (size_t)length,
                                     access_of(access));
    }
    if (memory->mr == NULL) {
        int error = errno;
        free(memory);
        return p2p_verbs_failed(dmabuf >= 0 ? "ibv_reg_dmabuf_mr" : "ibv_reg_mr", error, "",
                                report);
    }
    *key = memory->mr->rkey;
    atomic_store(&nic->memories[index], memory);
    return 0;
}

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
        return p2p_verbs_failed("p2p_verbs_close_memory", EBUSY, "operations use it", report);
    }
    int result = nic->library.dereg_mr(memory->mr);
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
