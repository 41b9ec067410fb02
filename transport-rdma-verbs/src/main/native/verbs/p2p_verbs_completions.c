#define _GNU_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>

_Static_assert(sizeof(struct p2p_verbs_completion) == 24, "as drawn");

/* What completions are written to. */
struct told {
    struct p2p_verbs_completion *out;
    int64_t count;
    int64_t n;
};

int64_t p2p_verbs_keep(struct p2p_verbs_nic *nic, struct p2p_verbs_report *report)
{
    if (nic->kept_next < nic->kept_count) {
        return nic->kept_count - nic->kept_next;
    }
    if (nic->strayed) {
        return p2p_verbs_failed("ibv_poll_cq", EIO, "a completion of no request", report);
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

/* The queue pair of a completion, if it has such a request under way; else NULL. */
static struct p2p_verbs_queue_pair *pair_of(const struct p2p_verbs_nic *nic, uint64_t id)
{
    uint32_t place = (uint32_t)(id >> 32);
    struct p2p_verbs_queue_pair *pair = place < nic->pair_places ? nic->pairs[place] : NULL;
    return pair != NULL && (uint32_t)id - pair->oldest < pair->next - pair->oldest ? pair : NULL;
}

static void tell(struct told *told, const struct p2p_verbs_connection *connection, int64_t id,
                 int32_t status, int32_t vendor, int32_t kind)
{
    struct p2p_verbs_completion *each = &told->out[told->n++];
    each->id = id;
    each->tag = connection->tag;
    each->status = status;
    each->vendor = vendor;
    each->kind = kind;
}

/* The first error of a queue pair breaks it, and what is behind it is flushed. */
static void note(struct p2p_verbs_connection *connection, const struct ibv_wc *wc)
{
    if (wc->status != IBV_WC_WR_FLUSH_ERR && connection->status == 0) {
        connection->status = (int32_t)wc->status;
        connection->vendor = (int32_t)wc->vendor_err;
    }
}

/* Ends a request; its operation is told with the last one. */
static void end_request(struct p2p_verbs_queue_pair *pair, bool good, const struct ibv_wc *wc,
                        struct told *told)
{
    struct p2p_verbs_connection *connection = pair->connection;
    struct p2p_verbs_request *request = &pair->requests[pair->oldest & pair->mask];
    struct p2p_verbs_operation *operation = request->operation;
    pair->oldest++;
    pair->room++;
    pair->nic->room++;
    (*connection->progress)++;
    if (operation == NULL) {
        return;
    }
    /* Whoever closes the memory next sees all that the request did. */
    atomic_fetch_sub_explicit(&request->memory->users, 1, memory_order_release);
    if (!good && operation->status == 0) {
        bool of_another = wc->status == IBV_WC_WR_FLUSH_ERR && connection->status != 0;
        operation->status = of_another ? connection->status : (int32_t)wc->status;
        operation->vendor = of_another ? connection->vendor : (int32_t)wc->vendor_err;
    }
    operation->remaining--;
    if (operation->remaining == 0) {
        tell(told, connection, operation->id, operation->status, operation->vendor,
             P2P_VERBS_OPERATION);
        operation->next = connection->free;
        connection->free = operation;
    }
}

/*
 * Ends the requests up to the one that a completion is of. Those before it did well, also if it did
 * not: what fails is always told. But those that a read has to flush wait for that, and fail if it
 * never comes. Returns false if there was no more room to tell it all; then it goes on later.
 */
static bool end_requests(struct p2p_verbs_queue_pair *pair, const struct ibv_wc *wc,
                         struct told *told)
{
    struct p2p_verbs_connection *connection = pair->connection;
    uint32_t end = (uint32_t)wc->wr_id + 1;
    bool good = wc->status == IBV_WC_SUCCESS;
    bool proof = good && pair->requests[(end - 1) & pair->mask].operation == NULL;
    if (!good && !connection->told_broken) {
        note(connection, wc);
        if (told->n == told->count) {
            return false;
        }
        bool known = connection->status != 0;
        tell(told, connection, 0, known ? connection->status : (int32_t)wc->status,
             known ? connection->vendor : (int32_t)wc->vendor_err, P2P_VERBS_BROKEN);
        connection->told_broken = true;
    }
    while ((int32_t)(end - pair->oldest) > 0) {
        const struct p2p_verbs_request *request = &pair->requests[pair->oldest & pair->mask];
        if (good && request->unproven && !proof) {
            return true;
        }
        if (told->n == told->count && request->operation != NULL &&
            request->operation->remaining == 1) {
            return false;
        }
        bool last = pair->oldest + 1 == end;
        end_request(pair, good || (!last && !request->unproven && !request->refused), wc, told);
    }
    return true;
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
    struct told told = {(struct p2p_verbs_completion *)(intptr_t)completions, count, 0};
    while (told.n < count) {
        int64_t kept = p2p_verbs_keep(nic, report);
        if (kept <= 0) {
            /* What was read is told first; the next call meets the failure again. */
            return kept == 0 || told.n > 0 ? told.n : kept;
        }
        const struct ibv_wc *wc = &nic->kept[nic->kept_next];
        struct p2p_verbs_queue_pair *pair = pair_of(nic, wc->wr_id);
        if (pair == NULL) {
            nic->strayed = true;
            nic->kept_next++;
        } else if (end_requests(pair, wc, &told)) {
            nic->kept_next++;
        }
    }
    return told.n;
}

int64_t p2p_verbs_outstanding(int64_t handle, int64_t completions, int64_t count)
{
    struct p2p_verbs_connection *connection = p2p_verbs_connection_of(handle);
    if (connection == NULL || completions <= 0 || completions % 8 != 0 || count < 0) {
        return -(int64_t)EINVAL;
    }
    struct told told = {(struct p2p_verbs_completion *)(intptr_t)completions, count, 0};
    for (int32_t i = 0; i < connection->operation_count && told.n < count; i++) {
        const struct p2p_verbs_operation *operation = &connection->operations[i];
        if (operation->remaining > 0) {
            tell(&told, connection, operation->id, IBV_WC_WR_FLUSH_ERR, 0, P2P_VERBS_OPERATION);
        }
    }
    return told.n;
}
