#define _GNU_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct p2p_verbs_path) == 64, "as drawn");
_Static_assert(sizeof(struct p2p_verbs_making) == 128, "as drawn");

/*
 * A lost acknowledgement is waited for 4.096 microseconds << 17, half a second, once and 6 times
 * more: about four seconds of silence break a queue pair (devices may take up to four times as
 * long). It is longer than what a short outage takes, and the engine knows of a peer's death
 * earlier. Not 7 times, which soft RoCE takes for ever.
 */
#define TIMEOUT 17
#define RETRIES 6

/* Of operations that need a receiver's buffer; there are none. */
#define RECEIVER_RETRIES 7
#define RECEIVER_TIMER 12

#define HOPS 64
#define PARTITION 0

struct p2p_verbs_connection *p2p_verbs_connection_of(int64_t handle)
{
    struct p2p_verbs_connection *connection = (struct p2p_verbs_connection *)(intptr_t)handle;
    return handle > 0 && handle % 8 == 0 && connection->kind == P2P_VERBS_CONNECTION_KIND
               ? connection
               : NULL;
}

static int64_t modify(struct p2p_verbs_queue_pair *pair, struct ibv_qp_attr *attr, int mask,
                      const char *call, struct p2p_verbs_report *report)
{
    int result = pair->nic->library.modify_qp(pair->qp, attr, mask);
    return result == 0 ? 0 : p2p_verbs_failed(call, result > 0 ? result : errno, "", report);
}

/* -- making */

/* A free place in the NIC's table, which grows for it. */
static int64_t find_place(struct p2p_verbs_queue_pair *pair, struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = pair->nic;
    uint32_t place = 0;
    while (place < nic->pair_places && nic->pairs[place] != NULL) {
        place++;
    }
    if (place == nic->pair_places) {
        uint32_t more = place == 0 ? 16 : 2 * place;
        struct p2p_verbs_queue_pair **pairs = realloc(nic->pairs, more * sizeof(*pairs));
        if (pairs == NULL) {
            return p2p_verbs_failed("realloc", ENOMEM, "", report);
        }
        memset(pairs + place, 0, (more - place) * sizeof(*pairs));
        nic->pairs = pairs;
        nic->pair_places = more;
    }
    pair->place = place;
    return 0;
}

/* What peers may do, the registrations say. */
static int64_t initialize(struct p2p_verbs_queue_pair *pair, struct p2p_verbs_report *report)
{
    struct ibv_qp_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.qp_state = IBV_QPS_INIT;
    attr.pkey_index = PARTITION;
    attr.port_num = (uint8_t)pair->nic->port;
    attr.qp_access_flags = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
    return modify(pair, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS,
                  "ibv_modify_qp to INIT", report);
}

static int64_t make_pair(struct p2p_verbs_queue_pair *pair, int32_t depth,
                         struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = pair->nic;
    /* Each may once have to be drained by a request that nobody takes credits for. */
    if (nic->room <= 1) {
        return p2p_verbs_failed("p2p_verbs_create", ENOMEM,
                                "the completion queue has no room for more queue pairs", report);
    }
    uint32_t length = 1;
    while (length < (uint32_t)depth) {
        length *= 2;
    }
    pair->mask = length - 1;
    pair->requests = calloc(length, sizeof(*pair->requests));
    if (pair->requests == NULL) {
        return p2p_verbs_failed("calloc", ENOMEM, "", report);
    }
    int64_t result = find_place(pair, report);
    if (result < 0) {
        return result;
    }
    struct ibv_qp_init_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.qp_context = pair;
    attr.send_cq = nic->cq;
    attr.recv_cq = nic->cq;
    attr.qp_type = IBV_QPT_RC;
    attr.cap.max_send_wr = (uint32_t)depth;
    attr.cap.max_send_sge = 1;
    /* Nothing is received, but some drivers want a queue for it. */
    attr.cap.max_recv_wr = 1;
    attr.cap.max_recv_sge = 1;
    pair->qp = nic->library.create_qp(nic->pd, &attr);
    if (pair->qp == NULL) {
        return p2p_verbs_failed("ibv_create_qp", errno, "", report);
    }
    nic->pairs[pair->place] = pair;
    atomic_fetch_add(&nic->pair_count, 1);
    nic->room--;
    pair->room = depth - 1;
    return initialize(pair, report);
}

static bool is_making(const struct p2p_verbs_making *making)
{
    bool good = making != NULL && making->nics >= 1 && making->nics <= P2P_VERBS_NICS &&
                making->pairs >= 1 && making->pairs <= P2P_VERBS_PAIRS &&
                making->depth >= P2P_VERBS_LEAST_DEPTH && making->depth <= 1 << 20 &&
                making->operations >= 1 && making->operations <= 1 << 20 && making->tag >= 0 &&
                making->progress > 0 && making->progress % 8 == 0;
    for (int32_t i = 0; good && i < making->nics; i++) {
        good = p2p_verbs_nic_of(making->handles[i]) != NULL;
    }
    return good;
}

static int64_t make_parts(struct p2p_verbs_connection *connection,
                          struct p2p_verbs_making *making, struct p2p_verbs_report *report)
{
    connection->operations = calloc((size_t)making->operations, sizeof(*connection->operations));
    if (connection->operations == NULL) {
        return p2p_verbs_failed("calloc", ENOMEM, "", report);
    }
    connection->operation_count = making->operations;
    for (int32_t i = making->operations; i > 0; i--) {
        connection->operations[i - 1].next = connection->free;
        connection->free = &connection->operations[i - 1];
    }
    for (int32_t i = 0; i < making->pairs; i++) {
        struct p2p_verbs_queue_pair *pair = &connection->pairs[i];
        pair->connection = connection;
        pair->nic = connection->nics[i % making->nics];
        connection->pair_count = i + 1;
        int64_t result = make_pair(pair, making->depth, report);
        if (result < 0) {
            return result;
        }
        making->numbers[i] = (int32_t)pair->qp->qp_num;
    }
    return 0;
}

int64_t p2p_verbs_create(struct p2p_verbs_making *making, struct p2p_verbs_report *report)
{
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (!is_making(making)) {
        return p2p_verbs_failed("p2p_verbs_create", EINVAL, "arguments", report);
    }
    struct p2p_verbs_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        return p2p_verbs_failed("calloc", ENOMEM, "", report);
    }
    connection->kind = P2P_VERBS_CONNECTION_KIND;
    connection->tag = making->tag;
    connection->flush = making->flush != 0;
    connection->progress = (int64_t *)(intptr_t)making->progress;
    connection->nic_count = making->nics;
    for (int32_t i = 0; i < making->nics; i++) {
        connection->nics[i] = p2p_verbs_nic_of(making->handles[i]);
    }
    int64_t result = make_parts(connection, making, report);
    if (result < 0) {
        /* The first failure is the one to tell. */
        struct p2p_verbs_report ignored;
        (void)p2p_verbs_detach((int64_t)(intptr_t)connection, false, &ignored);
        (void)p2p_verbs_destroy((int64_t)(intptr_t)connection, &ignored);
        return result;
    }
    return (int64_t)(intptr_t)connection;
}

/* -- destroying one */

/* Its NIC looks for no completion of it any more, so the room for them is free. */
static void detach_pair(struct p2p_verbs_queue_pair *pair)
{
    struct p2p_verbs_nic *nic = pair->nic;
    if (pair->qp != NULL && nic->pairs[pair->place] == pair) {
        nic->pairs[pair->place] = NULL;
        nic->room += 1 + (int64_t)(pair->next - pair->oldest);
    }
}

/* Requests that never came back touch no memory any more. */
static void forget_requests(struct p2p_verbs_queue_pair *pair)
{
    for (; pair->oldest != pair->next; pair->oldest++) {
        const struct p2p_verbs_request *request = &pair->requests[pair->oldest & pair->mask];
        if (request->operation != NULL) {
            atomic_fetch_sub_explicit(&request->memory->users, 1, memory_order_release);
        }
    }
}

/* One that is detached. Returns 0 or a positive errno. */
static int destroy_pair(struct p2p_verbs_queue_pair *pair)
{
    if (pair->qp != NULL) {
        int result = pair->nic->library.destroy_qp(pair->qp);
        if (result != 0) {
            return result > 0 ? result : errno;
        }
        forget_requests(pair);
        pair->qp = NULL;
        atomic_fetch_sub(&pair->nic->pair_count, 1);
    }
    free(pair->requests);
    pair->requests = NULL;
    return 0;
}

/* -- connecting */

static int64_t receive(struct p2p_verbs_queue_pair *pair, const struct p2p_verbs_path *path,
                       struct p2p_verbs_report *report)
{
    struct ibv_qp_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.qp_state = IBV_QPS_RTR;
    attr.path_mtu = (enum ibv_mtu)path->mtu;
    attr.dest_qp_num = (uint32_t)path->queue_pair;
    attr.rq_psn = (uint32_t)path->their_psn;
    attr.max_dest_rd_atomic = (uint8_t)path->reads_served;
    attr.min_rnr_timer = RECEIVER_TIMER;
    attr.ah_attr.port_num = (uint8_t)pair->nic->port;
    attr.ah_attr.sl = (uint8_t)path->service_level;
    attr.ah_attr.dlid = (uint16_t)path->lid;
    if (path->by_gid != 0) {
        attr.ah_attr.is_global = 1;
        memcpy(attr.ah_attr.grh.dgid.raw, path->gid, sizeof(path->gid));
        attr.ah_attr.grh.sgid_index = (uint8_t)pair->nic->gid_index;
        attr.ah_attr.grh.hop_limit = HOPS;
        attr.ah_attr.grh.traffic_class = (uint8_t)path->traffic_class;
    }
    return modify(pair, &attr,
                  IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                      IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER,
                  "ibv_modify_qp to RTR", report);
}

static int64_t transmit(struct p2p_verbs_queue_pair *pair, const struct p2p_verbs_path *path,
                        struct p2p_verbs_report *report)
{
    struct ibv_qp_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.qp_state = IBV_QPS_RTS;
    attr.sq_psn = (uint32_t)path->own_psn;
    attr.timeout = TIMEOUT;
    attr.retry_cnt = RETRIES;
    attr.rnr_retry = RECEIVER_RETRIES;
    attr.max_rd_atomic = (uint8_t)path->reads_started;
    return modify(pair, &attr,
                  IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT |
                      IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC,
                  "ibv_modify_qp to RTS", report);
}

static bool is_path(const struct p2p_verbs_nic *nic, const struct p2p_verbs_path *path)
{
    const int32_t most_psn = (1 << 24) - 1;
    return path->lid >= 0 && path->lid <= UINT16_MAX && path->queue_pair >= 0 &&
           path->queue_pair < 1 << 24 && path->their_psn >= 0 && path->their_psn <= most_psn &&
           path->own_psn >= 0 && path->own_psn <= most_psn && path->mtu >= IBV_MTU_256 &&
           path->mtu <= IBV_MTU_4096 && path->service_level >= 0 && path->service_level <= 15 &&
           path->traffic_class >= 0 && path->traffic_class <= UINT8_MAX &&
           path->reads_started >= 0 && path->reads_started <= UINT8_MAX &&
           path->reads_served >= 0 && path->reads_served <= UINT8_MAX &&
           path->their_nic >= 0 && path->their_nic < P2P_VERBS_NICS &&
           (path->by_gid == 0 || nic->gid_index >= 0);
}

int64_t p2p_verbs_reduce(int64_t handle, int32_t count, struct p2p_verbs_report *report)
{
    struct p2p_verbs_connection *connection = p2p_verbs_connection_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (connection == NULL || connection->detached || count < 1 ||
        count > connection->pair_count) {
        return p2p_verbs_failed("p2p_verbs_reduce", EINVAL, "arguments", report);
    }
    while (connection->pair_count > count) {
        struct p2p_verbs_queue_pair *last = &connection->pairs[connection->pair_count - 1];
        detach_pair(last);
        int result = destroy_pair(last);
        if (result != 0) {
            return p2p_verbs_failed("ibv_destroy_qp", result, "", report);
        }
        connection->pair_count--;
    }
    return 0;
}

int64_t p2p_verbs_connect(int64_t handle, const struct p2p_verbs_path *paths, int32_t count,
                          struct p2p_verbs_report *report)
{
    struct p2p_verbs_connection *connection = p2p_verbs_connection_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    bool good = connection != NULL && !connection->detached && paths != NULL &&
                count == connection->pair_count;
    for (int32_t i = 0; good && i < count; i++) {
        good = is_path(connection->pairs[i].nic, &paths[i]);
    }
    if (!good) {
        return p2p_verbs_failed("p2p_verbs_connect", EINVAL, "arguments", report);
    }
    for (int32_t i = 0; i < count; i++) {
        struct p2p_verbs_queue_pair *pair = &connection->pairs[i];
        pair->their_nic = paths[i].their_nic;
        int64_t result = receive(pair, &paths[i], report);
        if (result >= 0) {
            result = transmit(pair, &paths[i], report);
        }
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* -- the end */

int p2p_verbs_to_error(struct p2p_verbs_queue_pair *pair)
{
    struct ibv_qp_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.qp_state = IBV_QPS_ERR;
    int result = pair->nic->library.modify_qp(pair->qp, &attr, IBV_QP_STATE);
    return result >= 0 ? result : errno;
}

int64_t p2p_verbs_break(int64_t handle, struct p2p_verbs_report *report)
{
    struct p2p_verbs_connection *connection = p2p_verbs_connection_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (connection == NULL) {
        return p2p_verbs_failed("p2p_verbs_break", EINVAL, "handle", report);
    }
    if (connection->detached) {
        return p2p_verbs_failed("p2p_verbs_break", EINVAL, "it is detached", report);
    }
    int error = 0;
    for (int32_t i = 0; i < connection->pair_count; i++) {
        int result = p2p_verbs_to_error(&connection->pairs[i]);
        error = error == 0 ? result : error;
    }
    return error == 0 ? 0 : p2p_verbs_failed("ibv_modify_qp to ERR", error, "", report);
}

int64_t p2p_verbs_detach(int64_t handle, bool outstanding_too, struct p2p_verbs_report *report)
{
    struct p2p_verbs_connection *connection = p2p_verbs_connection_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (connection == NULL) {
        return p2p_verbs_failed("p2p_verbs_detach", EINVAL, "handle", report);
    }
    bool outstanding = false;
    for (int32_t i = 0; i < connection->pair_count; i++) {
        outstanding |= connection->pairs[i].oldest != connection->pairs[i].next;
    }
    if (outstanding && !outstanding_too) {
        return p2p_verbs_failed("p2p_verbs_detach", EAGAIN, "work requests are outstanding",
                                report);
    }
    connection->detached = true;
    for (int32_t i = 0; i < connection->pair_count; i++) {
        detach_pair(&connection->pairs[i]);
    }
    return 0;
}

int64_t p2p_verbs_destroy(int64_t handle, struct p2p_verbs_report *report)
{
    struct p2p_verbs_connection *connection = p2p_verbs_connection_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (connection == NULL || !connection->detached) {
        return p2p_verbs_failed("p2p_verbs_destroy", EINVAL,
                                connection == NULL ? "handle" : "it is not detached", report);
    }
    for (int32_t i = 0; i < connection->pair_count; i++) {
        int result = destroy_pair(&connection->pairs[i]);
        if (result != 0) {
            return p2p_verbs_failed("ibv_destroy_qp", result, "", report);
        }
    }
    connection->kind = 0;
    free(connection->operations);
    free(connection);
    return 0;
}
