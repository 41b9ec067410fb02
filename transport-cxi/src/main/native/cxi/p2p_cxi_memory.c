#define _DEFAULT_SOURCE

#include "p2p_cxi_endpoint.h"

#include <errno.h>
#include <rdma/fi_errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct p2p_cxi_memory *p2p_cxi_memory_at(struct p2p_cxi_endpoint *endpoint, int64_t index)
{
    return index >= 0 && index < P2P_CXI_MEMORIES ? atomic_load(&endpoint->memories[index]) : NULL;
}

static uint64_t access_of(int32_t access)
{
    return FI_READ | FI_WRITE | ((access & P2P_CXI_REMOTE_READ) != 0 ? FI_REMOTE_READ : 0) |
           ((access & P2P_CXI_REMOTE_WRITE) != 0 ? FI_REMOTE_WRITE : 0);
}

/* What to register; the attribute of libfabric points into it. */
struct request {
    struct iovec range;
    struct fi_mr_dmabuf buffer;
    struct fi_mr_attr attr;
    uint64_t flags;
};

/*
 * Always by attribute: fi_mr_reg of cxi leaves the kind of memory to what is on the stack (libfabric
 * 2.6).
 */
static void request_of(int64_t address, int64_t length, uint64_t access, int64_t key, int32_t kind,
                       int32_t device, int32_t dmabuf, struct request *request)
{
    memset(request, 0, sizeof(*request));
    request->range.iov_base = (void *)(intptr_t)address;
    request->range.iov_len = (size_t)length;
    request->attr.mr_iov = &request->range;
    request->attr.iov_count = 1;
    request->attr.access = access;
    request->attr.requested_key = (uint64_t)key;
    request->attr.iface = FI_HMEM_SYSTEM;
    if (kind != P2P_CXI_CUDA_MEMORY) {
        return;
    }
    request->attr.iface = FI_HMEM_CUDA;
    request->attr.device.cuda = device;
    if (dmabuf >= 0) {
        uint64_t offset = (uint64_t)address % (uint64_t)sysconf(_SC_PAGESIZE);
        request->buffer.fd = dmabuf;
        request->buffer.offset = offset;
        request->buffer.len = (size_t)length;
        request->buffer.base_addr = (void *)(intptr_t)(address - (int64_t)offset);
        request->attr.dmabuf = &request->buffer;
        request->flags = FI_MR_DMABUF;
    }
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
                         int32_t dmabuf, int64_t *chosen, struct p2p_cxi_report *report)
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
    /* A provider that was not asked for GPU memory would take the address for the host's. */
    if (kind == P2P_CXI_CUDA_MEMORY && (endpoint->info->caps & FI_HMEM) == 0) {
        return p2p_cxi_failed("p2p_cxi_register", EOPNOTSUPP, "the provider takes no GPU memory",
                              report);
    }
    if (dmabuf >= 0 && endpoint->library.version < FI_VERSION(1, 20)) {
        return p2p_cxi_failed("p2p_cxi_register", ENOSYS,
                              "libfabric has dma-buf from 1.20 on", report);
    }
    if (p2p_cxi_memory_at(endpoint, index) != NULL) {
        return p2p_cxi_failed("p2p_cxi_register", EBUSY, "the place is taken", report);
    }
    struct p2p_cxi_memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return p2p_cxi_failed("calloc", ENOMEM, "", report);
    }
    struct request request;
    request_of(address, length, access_of(access), key, kind, device, dmabuf, &request);
    int refused = fi_mr_regattr(endpoint->domain, &request.attr, request.flags, &memory->mr);
    if (refused != 0) {
        free(memory);
        return p2p_cxi_refused(&endpoint->library, "fi_mr_regattr", -(int64_t)refused, report);
    }
    int64_t result = enable_memory(endpoint, memory, report);
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
        return p2p_cxi_failed("p2p_cxi_close_memory", EINPROGRESS, "operations use it", report);
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
