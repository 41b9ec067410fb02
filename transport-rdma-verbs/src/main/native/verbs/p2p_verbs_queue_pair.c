#define _GNU_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct p2p_verbs_path) == 56, "as drawn");

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

struct p2p_verbs_queue_pair *p2p_verbs_queue_pair_of(int64_t handle)
{
    struct p2p_verbs_queue_pair *pair = (struct p2p_verbs_queue_pair *)(intptr_t)handle;
    return handle > 0 && handle % 8 == 0 && pair->kind == P2P_VERBS_QUEUE_PAIR_KIND ? pair : NULL;
}

static int64_t modify(struct p2p_verbs_queue_pair *pair, struct ibv_qp_attr *attr, int mask,
                      const char *call, struct p2p_verbs_report *report)
{
    int result = pair->nic->library.modify_qp(pair->qp, attr, mask);
    return result == 0 ? 0 : p2p_verbs_failed(call, result > 0 ? result : errno, "", report);
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

int64_t p2p_verbs_create_queue_pair(int64_t handle, int32_t depth, int32_t tag, int64_t *number,
                                    struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (nic == NULL || depth < 1 || tag < 0 || number == NULL) {
        return p2p_verbs_failed("p2p_verbs_create_queue_pair", EINVAL, "arguments", report);
    }
    struct p2p_verbs_queue_pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL) {
        return p2p_verbs_failed("calloc", ENOMEM, "", report);
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
    pair->nic = nic;
    pair->tag = tag;
    pair->qp = nic->library.create_qp(nic->pd, &attr);
    if (pair->qp == NULL) {
        int error = errno;
        free(pair);
        return p2p_verbs_failed("ibv_create_qp", error, "", report);
    }
    pair->kind = P2P_VERBS_QUEUE_PAIR_KIND;
    pair->credits = depth;
    nic->queue_pairs++;
    int64_t result = initialize(pair, report);
    if (result < 0) {
        /* The first failure is the one to tell. */
        struct p2p_verbs_report ignored;
        (void)p2p_verbs_destroy_queue_pair((int64_t)(intptr_t)pair, false, &ignored);
        return result;
    }
    *number = pair->qp->qp_num;
    return (int64_t)(intptr_t)pair;
}

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
    return path != NULL && path->lid >= 0 && path->lid <= UINT16_MAX && path->queue_pair >= 0 &&
           path->queue_pair < 1 << 24 && path->their_psn >= 0 && path->their_psn <= most_psn &&
           path->own_psn >= 0 && path->own_psn <= most_psn && path->mtu >= IBV_MTU_256 &&
           path->mtu <= IBV_MTU_4096 && path->service_level >= 0 && path->service_level <= 15 &&
           path->traffic_class >= 0 && path->traffic_class <= UINT8_MAX &&
           path->reads_started >= 0 && path->reads_started <= UINT8_MAX &&
           path->reads_served >= 0 && path->reads_served <= UINT8_MAX &&
           (path->by_gid == 0 || nic->gid_index >= 0);
}

int64_t p2p_verbs_connect(int64_t handle, const struct p2p_verbs_path *path,
                          struct p2p_verbs_report *report)
{
    struct p2p_verbs_queue_pair *pair = p2p_verbs_queue_pair_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (pair == NULL || !is_path(pair->nic, path)) {
        return p2p_verbs_failed("p2p_verbs_connect", EINVAL, "arguments", report);
    }
    int64_t result = receive(pair, path, report);
    return result < 0 ? result : transmit(pair, path, report);
}

int64_t p2p_verbs_break(int64_t handle, struct p2p_verbs_report *report)
{
    struct p2p_verbs_queue_pair *pair = p2p_verbs_queue_pair_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (pair == NULL) {
        return p2p_verbs_failed("p2p_verbs_break", EINVAL, "handle", report);
    }
    struct ibv_qp_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.qp_state = IBV_QPS_ERR;
    return modify(pair, &attr, IBV_QP_STATE, "ibv_modify_qp to ERR", report);
}

/* The operations of a queue pair that is no more are nobody's. */
static void forget_operations(struct p2p_verbs_queue_pair *pair)
{
    struct p2p_verbs_nic *nic = pair->nic;
    for (int64_t i = 0; i < nic->operation_count; i++) {
        struct p2p_verbs_operation *operation = &nic->operations[i];
        if (operation->queue_pair == pair) {
            operation->queue_pair = NULL;
            atomic_fetch_sub_explicit(&operation->memory->users, 1, memory_order_release);
        }
    }
}

int64_t p2p_verbs_destroy_queue_pair(int64_t handle, bool outstanding_too,
                                     struct p2p_verbs_report *report)
{
    struct p2p_verbs_queue_pair *pair = p2p_verbs_queue_pair_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (pair == NULL) {
        return p2p_verbs_failed("p2p_verbs_destroy_queue_pair", EINVAL, "handle", report);
    }
    if (pair->outstanding > 0 && !outstanding_too) {
        return p2p_verbs_failed("p2p_verbs_destroy_queue_pair", EBUSY,
                                "operations are outstanding", report);
    }
    int result = pair->nic->library.destroy_qp(pair->qp);
    if (result != 0) {
        return p2p_verbs_failed("ibv_destroy_qp", result, "", report);
    }
    if (pair->outstanding > 0) {
        forget_operations(pair);
    }
    pair->nic->queue_pairs--;
    pair->kind = 0;
    free(pair);
    return 0;
}
