#include "p2p_cxi_endpoint.h"

#include <errno.h>
#include <rdma/fi_errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

struct p2p_cxi_memory *p2p_cxi_memory_at(struct p2p_cxi_endpoint *endpoint, int64_t index)
{
    return index >= 0 && index < P2P_CXI_MEMORIES ? atomic_load(&endpoint->memories[index]) : NULL;
}

static uint64_t access_of(int32_t access)
{
    return FI_READ | FI_WRITE | ((access & P2P_CXI_REMOTE_READ) != 0 ? FI_REMOTE_READ : 0) |
           ((access & P2P_CXI_REMOTE_WRITE) != 0 ? FI_REMOTE_WRITE : 0);
}

static int64_t register_memory(struct p2p_cxi_endpoint *endpoint, struct p2p_cxi_memory *memory,
                               void *address, size_t length, uint64_t access, uint64_t key,
                               int32_t kind, int32_t device, struct p2p_cxi_report *report)
{
    int result;
    if (kind == P2P_CXI_HOST_MEMORY) {
        result = fi_mr_reg(endpoint->domain, address, length, access, 0, key, 0, &memory->mr, NULL);
        return result == 0
                   ? 0
                   : p2p_cxi_refused(&endpoint->library, "fi_mr_reg", -(int64_t)result, report);
    }
    struct iovec range = {.iov_base = address, .iov_len = length};
    struct fi_mr_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.mr_iov = &range;
    attr.iov_count = 1;
    attr.access = access;
    attr.requested_key = key;
    attr.iface = FI_HMEM_CUDA;
    attr.device.cuda = device;
    result = fi_mr_regattr(endpoint->domain, &attr, 0, &memory->mr);
    return result == 0
               ? 0
               : p2p_cxi_refused(&endpoint->library, "fi_mr_regattr", -(int64_t)result, report);
}

static int64_t enable_memory(struct p2p_cxi_endpoint *endpoint, struct p2p_cxi_memory *memory,
                             struct p2p_cxi_report *report)
{
    if ((endpoint->info->domain_attr->mr_mode & FI_MR_ENDPOINT) == 0) {
        return 0;
    }
    int result = fi_mr_bind(memory->mr, &endpoint->ep->fid, 0);
    if (result != 0) {
        return p2p_cxi_refused(&endpoint->library, "fi_mr_bind", -(int64_t)result, report);
    }
    result = fi_mr_enable(memory->mr);
    return result == 0
               ? 0
               : p2p_cxi_refused(&endpoint->library, "fi_mr_enable", -(int64_t)result, report);
}

int64_t p2p_cxi_register(int64_t handle, int64_t index, int64_t address, int64_t length,
                         int32_t access, int64_t key, int32_t kind, int32_t device,
                         int64_t *chosen, struct p2p_cxi_report *report)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (endpoint == NULL || index < 0 || index >= P2P_CXI_MEMORIES || address <= 0 || length <= 0 ||
        length > INT64_MAX - address ||
        (access & ~(P2P_CXI_REMOTE_READ | P2P_CXI_REMOTE_WRITE)) != 0 ||
        (kind != P2P_CXI_HOST_MEMORY && kind != P2P_CXI_CUDA_MEMORY) || chosen == NULL) {
        return p2p_cxi_failed("p2p_cxi_register", EINVAL, "arguments", report);
    }
    if (p2p_cxi_memory_at(endpoint, index) != NULL) {
        return p2p_cxi_failed("p2p_cxi_register", EBUSY, "the place is taken", report);
    }
    struct p2p_cxi_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return p2p_cxi_failed("calloc", ENOMEM, "", report);
    }
    int64_t result =
        register_memory(endpoint, memory, (void *)(intptr_t)address, (size_t)length,
                        access_of(access), (uint64_t)key, kind, device, report);
    if (result < 0) {
        free(memory);
        return result;
    }
    result = enable_memory(endpoint, memory, report);
    /* What no peer reaches needs no key, and cxi gives it none. */
    if (result >= 0 && access != 0 && fi_mr_key(memory->mr) == FI_KEY_NOTAVAIL) {
        result = p2p_cxi_failed("fi_mr_key", FI_EKEYREJECTED, "the registration has no key",
                                report);
    }
    if (result < 0) {
        /* The first failure is the one to tell. */
        (void)fi_close(&memory->mr->fid);
        free(memory);
        return result;
    }
    memory->descriptor = fi_mr_desc(memory->mr);
    *chosen = (int64_t)fi_mr_key(memory->mr);
    atomic_store(&endpoint->memories[index], memory);
    return 0;
}

int64_t p2p_cxi_close_memory(int64_t handle, int64_t index, bool in_use_too,
                             struct p2p_cxi_report *report)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (endpoint == NULL) {
        return p2p_cxi_failed("p2p_cxi_close_memory", EINVAL, "handle", report);
    }
    struct p2p_cxi_memory *memory = p2p_cxi_memory_at(endpoint, index);
    if (memory == NULL) {
        return p2p_cxi_failed("p2p_cxi_close_memory", ENOENT, "nothing is registered there",
                              report);
    }
    if (!in_use_too && atomic_load(&memory->users) > 0) {
        return p2p_cxi_failed("p2p_cxi_close_memory", EBUSY, "operations use it", report);
    }
    int result = fi_close(&memory->mr->fid);
    if (result != 0) {
        return p2p_cxi_refused(&endpoint->library, "fi_close of the registration",
                               -(int64_t)result, report);
    }
    atomic_store(&endpoint->memories[index], NULL);
    free(memory);
    return 0;
}
