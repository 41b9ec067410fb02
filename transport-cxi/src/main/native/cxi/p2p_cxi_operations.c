#define _GNU_SOURCE

#include "p2p_cxi_endpoint.h"

#include <errno.h>
#include <poll.h>
#include <rdma/fi_errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A slot, as io.uccl.p2p.spi.OpBuffer draws it, and in it the descriptor of cxi. */
struct slot {
    int64_t id;
    int32_t opcode;
    int32_t unused;
    int64_t local_address;
    int64_t local_key;
    int64_t length;
    uint64_t remote_address;
    int64_t local_offset;
    int64_t unused_too;
    uint8_t descriptor[32];
    uint64_t base;
    uint64_t key;
    uint64_t base_length;
    uint64_t true_length;
};

_Static_assert(sizeof(struct slot) == 128, "a slot of OpBuffer");
_Static_assert(sizeof(struct p2p_cxi_completion) == 16, "as drawn");

#define WRITE 1
#define READ 2

/* Entries of the completion queue read at a time. */
#define ENTRIES 64

/* -- peers */

/* No provider has longer names. */
#define LONGEST_NAME 256

/* A provider reads a name to its end, and of another address as many bytes as its own has. */
static bool is_address(const struct p2p_cxi_endpoint *endpoint, const uint8_t *address,
                       size_t length)
{
    return endpoint->info->addr_format == FI_ADDR_STR
               ? memchr(address, 0, length < LONGEST_NAME ? length : LONGEST_NAME) != NULL
               : length >= endpoint->address_length;
}

int64_t p2p_cxi_add_peer(int64_t handle, const uint8_t *address, int64_t length,
                         struct p2p_cxi_report *report)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (endpoint == NULL || address == NULL || length <= 0) {
        return p2p_cxi_failed("p2p_cxi_add_peer", EINVAL, "arguments", report);
    }
    if (!is_address(endpoint, address, (size_t)length)) {
        return p2p_cxi_failed("fi_av_insert", EINVAL, "not an address of the provider's kind",
                              report);
    }
    fi_addr_t peer = FI_ADDR_NOTAVAIL;
    int inserted = fi_av_insert(endpoint->av, address, 1, &peer, 0, NULL);
    if (inserted != 1 || peer == FI_ADDR_NOTAVAIL || peer > INT64_MAX) {
        return p2p_cxi_refused(&endpoint->library, "fi_av_insert",
                               inserted < 0 ? -(int64_t)inserted : FI_EINVAL, report);
    }
    return (int64_t)peer;
}

int64_t p2p_cxi_remove_peer(int64_t handle, int64_t peer, struct p2p_cxi_report *report)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (endpoint == NULL || peer < 0) {
        return p2p_cxi_failed("p2p_cxi_remove_peer", EINVAL, "arguments", report);
    }
    fi_addr_t address = (fi_addr_t)peer;
    int result = fi_av_remove(endpoint->av, &address, 1, 0);
    return result == 0 ? 0
                       : p2p_cxi_refused(&endpoint->library, "fi_av_remove", -(int64_t)result,
                                         report);
}

/* -- posting */

static ssize_t post_one(struct p2p_cxi_endpoint *endpoint, fi_addr_t peer, const struct slot *slot,
                        struct p2p_cxi_memory *memory, struct p2p_cxi_operation *operation)
{
    void *local = (void *)(intptr_t)slot->local_address;
    bool addressed = (endpoint->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0;
    uint64_t remote = addressed ? slot->remote_address : slot->remote_address - slot->base;
    if (slot->opcode == WRITE) {
        return fi_write(endpoint->ep, local, (size_t)slot->length, memory->descriptor, peer, remote,
                        slot->key, &operation->context);
    }
    return fi_read(endpoint->ep, local, (size_t)slot->length, memory->descriptor, peer, remote,
                   slot->key, &operation->context);
}

int64_t p2p_cxi_post(int64_t handle, int64_t peer, int32_t channel, int64_t slots, int64_t count,
                     struct p2p_cxi_report *report)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (endpoint == NULL || peer < 0 || slots <= 0 || slots % 8 != 0 || count < 0) {
        return p2p_cxi_failed("p2p_cxi_post", EINVAL, "arguments", report);
    }
    const struct slot *slot = (const struct slot *)(intptr_t)slots;
    for (int64_t i = 0; i < count; i++, slot++) {
        struct p2p_cxi_operation *operation = endpoint->free;
        if (operation == NULL) {
            return i;
        }
        struct p2p_cxi_memory *memory = p2p_cxi_memory_at(endpoint, slot->local_key);
        if (memory == NULL || slot->length < 0 || (slot->opcode != WRITE && slot->opcode != READ)) {
            return i > 0 ? i : p2p_cxi_failed("p2p_cxi_post", EINVAL, "slot", report);
        }
        ssize_t result = post_one(endpoint, (fi_addr_t)peer, slot, memory, operation);
        if (result == -FI_EAGAIN) {
            return i;
        }
        if (result != 0) {
            /* What was taken before it is told first; the next call meets the failure again. */
            return i > 0 ? i
                         : p2p_cxi_refused(&endpoint->library,
                                           slot->opcode == WRITE ? "fi_write" : "fi_read",
                                           -(int64_t)result, report);
        }
        endpoint->free = operation->next;
        operation->id = slot->id;
        operation->channel = channel;
        operation->memory = memory;
        atomic_fetch_add_explicit(&memory->users, 1, memory_order_relaxed);
    }
    return count;
}

/* -- completions */

static struct p2p_cxi_operation *operation_of(struct p2p_cxi_endpoint *endpoint, void *context)
{
    struct p2p_cxi_operation *operation = context;
    if (operation < endpoint->operations ||
        operation >= endpoint->operations + endpoint->operation_count ||
        ((uintptr_t)operation - (uintptr_t)endpoint->operations) % sizeof(*operation) != 0 ||
        operation->memory == NULL) {
        return NULL;
    }
    return operation;
}

static void complete(struct p2p_cxi_endpoint *endpoint, struct p2p_cxi_operation *operation,
                     int32_t error, struct p2p_cxi_completion *completion)
{
    completion->id = operation->id;
    completion->channel = operation->channel;
    completion->error = error;
    /* Whoever closes the memory next sees all that the operation did. */
    atomic_fetch_sub_explicit(&operation->memory->users, 1, memory_order_release);
    operation->memory = NULL;
    operation->next = endpoint->free;
    endpoint->free = operation;
}

static int64_t read_error(struct p2p_cxi_endpoint *endpoint, struct p2p_cxi_completion *completion,
                          struct p2p_cxi_report *report)
{
    /* A newer library may have a longer entry. */
    union {
        struct fi_cq_err_entry entry;
        uint8_t room[256];
    } error;
    memset(&error, 0, sizeof(error));
    ssize_t result = fi_cq_readerr(endpoint->cq, &error.entry, 0);
    if (result == -FI_EAGAIN) {
        return 0;
    }
    if (result < 0) {
        return p2p_cxi_refused(&endpoint->library, "fi_cq_readerr", -(int64_t)result, report);
    }
    int32_t code = error.entry.err > 0 ? error.entry.err : EIO;
    char buffer[128];
    const char *text = fi_cq_strerror(endpoint->cq, error.entry.prov_errno, error.entry.err_data,
                                      buffer, sizeof(buffer));
    struct p2p_cxi_operation *operation = operation_of(endpoint, error.entry.op_context);
    p2p_cxi_failed(operation == NULL ? "fi_cq_readerr, of no operation" : "fi_cq_readerr", code,
                   text, report);
    report->provider_error = error.entry.prov_errno;
    if (operation == NULL) {
        return -(int64_t)code;
    }
    complete(endpoint, operation, code, completion);
    return 1;
}

int64_t p2p_cxi_poll(int64_t handle, int64_t completions, int64_t count,
                     struct p2p_cxi_report *report)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (endpoint == NULL || completions <= 0 || completions % 8 != 0 || count < 0) {
        return p2p_cxi_failed("p2p_cxi_poll", EINVAL, "arguments", report);
    }
    struct p2p_cxi_completion *out = (struct p2p_cxi_completion *)(intptr_t)completions;
    int64_t n = 0;
    while (n < count) {
        if (endpoint->strayed) {
            return n > 0 ? n
                         : p2p_cxi_failed("fi_cq_read", EIO, "a completion of no operation", report);
        }
        struct fi_cq_entry entries[ENTRIES];
        int64_t room = count - n;
        ssize_t got =
            fi_cq_read(endpoint->cq, entries, room < ENTRIES ? (size_t)room : (size_t)ENTRIES);
        if (got == -FI_EAGAIN || got == 0) {
            return n;
        }
        if (got < 0 && n > 0) {
            /* What was read is told first; the next call meets the failure again. */
            return n;
        }
        if (got == -FI_EAVAIL) {
            return read_error(endpoint, out, report);
        }
        if (got < 0) {
            return p2p_cxi_refused(&endpoint->library, "fi_cq_read", -(int64_t)got, report);
        }
        for (ssize_t i = 0; i < got; i++) {
            struct p2p_cxi_operation *operation = operation_of(endpoint, entries[i].op_context);
            if (operation == NULL) {
                endpoint->strayed = true;
            } else {
                complete(endpoint, operation, 0, out + n);
                n++;
            }
        }
        if (got < ENTRIES && !endpoint->strayed) {
            return n;
        }
    }
    return n;
}

int64_t p2p_cxi_outstanding(int64_t handle, int64_t completions, int64_t count)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if (endpoint == NULL || completions <= 0 || completions % 8 != 0 || count < 0) {
        return -(int64_t)EINVAL;
    }
    struct p2p_cxi_completion *out = (struct p2p_cxi_completion *)(intptr_t)completions;
    int64_t n = 0;
    for (int64_t i = 0; i < endpoint->operation_count && n < count; i++) {
        const struct p2p_cxi_operation *operation = &endpoint->operations[i];
        if (operation->memory != NULL) {
            out[n].id = operation->id;
            out[n].channel = operation->channel;
            out[n].error = ECANCELED;
            n++;
        }
    }
    return n;
}

/* -- waiting */

int64_t p2p_cxi_wait(int64_t handle, int32_t wakeup, int64_t nanos)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if ((endpoint == NULL && handle != 0) || nanos < 0) {
        return -(int64_t)EINVAL;
    }
    struct pollfd fds[2] = {
        {.fd = wakeup, .events = POLLIN},
        {.fd = endpoint == NULL ? -1 : endpoint->wait_fd, .events = POLLIN},
    };
    struct timespec timeout = {.tv_sec = nanos / 1000000000, .tv_nsec = nanos % 1000000000};
    if (fds[1].fd >= 0) {
        struct fid *fids[1] = {&endpoint->cq->fid};
        /* Not 0: there is something to poll already. */
        if (fi_trywait(endpoint->fabric, fids, 1) != 0) {
            timeout.tv_sec = 0;
            timeout.tv_nsec = 0;
        }
    }
    /* Descriptors below 0 are left out. */
    int ready = ppoll(fds, 2, &timeout, NULL);
    if (ready < 0 && errno != EINTR) {
        return -(int64_t)errno;
    }
    if (ready > 0 && (fds[0].revents & POLLIN) != 0) {
        uint64_t count;
        if (read(wakeup, &count, sizeof(count)) < 0 && errno != EAGAIN) {
            return -(int64_t)errno;
        }
    }
    return 0;
}
