#define _GNU_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>
#include <string.h>

/* A slot, as io.uccl.p2p.spi.OpBuffer draws it, and in it the descriptor of rdma. */
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
    uint8_t range[12];
    uint32_t key;
    uint8_t names[16];
    uint64_t own[4];
};

_Static_assert(sizeof(struct slot) == 128, "a slot of OpBuffer");
_Static_assert(offsetof(struct slot, key) == 64 + 12, "a descriptor");
_Static_assert(sizeof(struct p2p_verbs_completion) == 24, "as drawn");

#define WRITE 1
#define READ 2

/* Work requests given to the device at a time. */
#define CHAIN 64

/* -- posting */

struct chain {
    struct ibv_send_wr requests[CHAIN];
    struct ibv_sge pieces[CHAIN];
    int length;
};

static bool is_slot(struct p2p_verbs_nic *nic, const struct slot *slot)
{
    return p2p_verbs_memory_at(nic, slot->local_key) != NULL && slot->length >= 0 &&
           slot->length <= UINT32_MAX && (slot->opcode == WRITE || slot->opcode == READ);
}

/* Takes an operation and a place of the send queue for it; there are some. */
static void append(struct p2p_verbs_queue_pair *pair, const struct slot *slot, struct chain *chain)
{
    struct p2p_verbs_nic *nic = pair->nic;
    struct p2p_verbs_operation *operation = nic->free;
    struct p2p_verbs_memory *memory = p2p_verbs_memory_at(nic, slot->local_key);
    nic->free = operation->next;
    operation->queue_pair = pair;
    operation->memory = memory;
    operation->id = slot->id;
    atomic_fetch_add_explicit(&memory->users, 1, memory_order_relaxed);
    pair->credits--;
    pair->outstanding++;

    struct ibv_sge *piece = &chain->pieces[chain->length];
    piece->addr = (uint64_t)slot->local_address;
    piece->length = (uint32_t)slot->length;
    piece->lkey = memory->mr->lkey;
    struct ibv_send_wr *request = &chain->requests[chain->length];
    memset(request, 0, sizeof(*request));
    request->wr_id = (uint64_t)(operation - nic->operations);
    request->sg_list = piece;
    /* Some devices take a piece of no bytes for one of 2 GiB. */
    request->num_sge = slot->length == 0 ? 0 : 1;
    request->opcode = slot->opcode == WRITE ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ;
    request->send_flags = IBV_SEND_SIGNALED;
    request->wr.rdma.remote_addr = slot->remote_address;
    request->wr.rdma.rkey = slot->key;
    if (chain->length > 0) {
        chain->requests[chain->length - 1].next = request;
    }
    chain->length++;
}

/* Gives an operation back, and its place of the send queue. */
static void give_back(struct p2p_verbs_nic *nic, struct p2p_verbs_operation *operation)
{
    operation->queue_pair->credits++;
    operation->queue_pair->outstanding--;
    operation->queue_pair = NULL;
    /* Whoever closes the memory next sees all that the operation did. */
    atomic_fetch_sub_explicit(&operation->memory->users, 1, memory_order_release);
    operation->next = nic->free;
    nic->free = operation;
}

/* Gives the chain to the device. Returns how many it took; fewer than all: "error" says why. */
static int post_chain(struct p2p_verbs_queue_pair *pair, struct chain *chain, int *error)
{
    struct ibv_send_wr *bad = NULL;
    *error = ibv_post_send(pair->qp, chain->requests, &bad);
    if (*error == 0) {
        return chain->length;
    }
    if (*error < 0) {
        *error = errno;
    }
    int taken = bad == NULL ? 0 : (int)(bad - chain->requests);
    for (int i = taken; i < chain->length; i++) {
        give_back(pair->nic, &pair->nic->operations[chain->requests[i].wr_id]);
    }
    return taken;
}

int64_t p2p_verbs_post(int64_t handle, int64_t slots, int64_t count,
                       struct p2p_verbs_report *report)
{
    struct p2p_verbs_queue_pair *pair = p2p_verbs_queue_pair_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (pair == NULL || slots <= 0 || slots % 8 != 0 || count < 0) {
        return p2p_verbs_failed("p2p_verbs_post", EINVAL, "arguments", report);
    }
    const struct slot *slot = (const struct slot *)(intptr_t)slots;
    int64_t taken = 0;
    while (taken < count) {
        struct chain chain;
        chain.length = 0;
        bool good = true;
        while (chain.length < CHAIN && taken + chain.length < count && pair->credits > 0 &&
               pair->nic->free != NULL && good) {
            const struct slot *next = slot + taken + chain.length;
            good = is_slot(pair->nic, next);
            if (good) {
                append(pair, next, &chain);
            }
        }
        if (chain.length == 0) {
            return good || taken > 0 ? taken
                                     : p2p_verbs_failed("p2p_verbs_post", EINVAL, "slot", report);
        }
        int error;
        int posted = post_chain(pair, &chain, &error);
        taken += posted;
        if (posted < chain.length) {
            /*
             * ENOMEM: the device's queue is full. Else what was taken before is told first, and the
             * next call meets the failure again.
             */
            return taken > 0 || error == ENOMEM
                       ? taken
                       : p2p_verbs_failed("ibv_post_send", error, "", report);
        }
    }
    return taken;
}

/* -- completions */

int64_t p2p_verbs_keep(struct p2p_verbs_nic *nic, struct p2p_verbs_report *report)
{
    if (nic->kept_next < nic->kept_count) {
        return nic->kept_count - nic->kept_next;
    }
    if (nic->strayed) {
        return p2p_verbs_failed("ibv_poll_cq", EIO, "a completion of no operation", report);
    }
    int got = nic->broken ? -1 : ibv_poll_cq(nic->cq, P2P_VERBS_ENTRIES, nic->kept);
    nic->kept_next = 0;
    nic->kept_count = got < 0 ? 0 : got;
    if (got < 0) {
        nic->broken = true;
        return p2p_verbs_failed("ibv_poll_cq", EIO, "the completion queue cannot be read", report);
    }
    return got;
}

static struct p2p_verbs_operation *operation_of(struct p2p_verbs_nic *nic, const struct ibv_wc *wc)
{
    struct p2p_verbs_operation *operation =
        wc->wr_id < (uint64_t)nic->operation_count ? &nic->operations[wc->wr_id] : NULL;
    return operation == NULL || operation->queue_pair == NULL ? NULL : operation;
}

/*
 * The first error of a queue pair breaks it, and what is behind it is flushed; so of a flushed
 * operation that error is told.
 */
static void complete(struct p2p_verbs_nic *nic, struct p2p_verbs_operation *operation,
                     const struct ibv_wc *wc, struct p2p_verbs_completion *completion)
{
    struct p2p_verbs_queue_pair *pair = operation->queue_pair;
    bool flushed = wc->status == IBV_WC_WR_FLUSH_ERR;
    if (wc->status != IBV_WC_SUCCESS && !flushed && pair->status == 0) {
        pair->status = (int32_t)wc->status;
        pair->vendor = (int32_t)wc->vendor_err;
    }
    bool known = flushed && pair->status != 0;
    completion->id = operation->id;
    completion->tag = pair->tag;
    completion->status = known ? pair->status : (int32_t)wc->status;
    completion->vendor =
        wc->status == IBV_WC_SUCCESS ? 0 : known ? pair->vendor : (int32_t)wc->vendor_err;
    completion->flushed = flushed;
    give_back(nic, operation);
}

int64_t p2p_verbs_poll(int64_t handle, int64_t completions, int64_t count,
                       struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (nic == NULL || completions <= 0 || completions % 8 != 0 || count < 0) {
        return p2p_verbs_failed("p2p_verbs_poll", EINVAL, "arguments", report);
    }
    struct p2p_verbs_completion *out = (struct p2p_verbs_completion *)(intptr_t)completions;
    int64_t n = 0;
    while (n < count) {
        int64_t kept = p2p_verbs_keep(nic, report);
        if (kept <= 0) {
            /* What was read is told first; the next call meets the failure again. */
            return kept == 0 || n > 0 ? n : kept;
        }
        const struct ibv_wc *wc = &nic->kept[nic->kept_next++];
        struct p2p_verbs_operation *operation = operation_of(nic, wc);
        if (operation == NULL) {
            nic->strayed = true;
        } else {
            complete(nic, operation, wc, out + n);
            n++;
        }
    }
    return n;
}

int64_t p2p_verbs_outstanding(int64_t handle, int64_t completions, int64_t count)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (nic == NULL || completions <= 0 || completions % 8 != 0 || count < 0) {
        return -(int64_t)EINVAL;
    }
    struct p2p_verbs_completion *out = (struct p2p_verbs_completion *)(intptr_t)completions;
    int64_t n = 0;
    for (int64_t i = 0; i < nic->operation_count && n < count; i++) {
        const struct p2p_verbs_operation *operation = &nic->operations[i];
        if (operation->queue_pair != NULL) {
            out[n].id = operation->id;
            out[n].tag = operation->queue_pair->tag;
            out[n].status = IBV_WC_WR_FLUSH_ERR;
            out[n].vendor = 0;
            out[n].flushed = 1;
            n++;
        }
    }
    return n;
}
