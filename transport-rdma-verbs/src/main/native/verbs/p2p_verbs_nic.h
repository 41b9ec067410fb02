/* What a NIC stands on, shared by the files of this library. */
#ifndef P2P_VERBS_NIC_H
#define P2P_VERBS_NIC_H

#include "p2p_verbs_library.h"

#include <stdatomic.h>

/* Completions read at a time. */
#define P2P_VERBS_ENTRIES 64

/* A registration. Operations that use it count it. */
struct p2p_verbs_memory {
    struct ibv_mr *mr;
    /* Written by the owner of the NIC, read by whoever closes. */
    _Atomic int64_t users;
};

struct p2p_verbs_queue_pair;

/* An operation under way, or free for one; its place in the array is the id of its work request. */
struct p2p_verbs_operation {
    /* NULL: it is free. */
    struct p2p_verbs_queue_pair *queue_pair;
    struct p2p_verbs_memory *memory;
    struct p2p_verbs_operation *next;
    int64_t id;
};

struct p2p_verbs_nic {
    uint64_t kind;
    struct p2p_verbs_library library;
    struct ibv_context *context;
    struct ibv_pd *pd;
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
    int32_t port;
    int32_t gid_index;
    int64_t longest_memory;
    int64_t queue_pairs;
    /* The queue will send an event, or has sent one that was not read. */
    bool armed;
    /* The queue had a completion of no operation: what it says cannot be trusted any more. */
    bool strayed;
    /* The queue cannot be read any more. */
    bool broken;
    /* Never more than completions have room for: the queue cannot overrun. */
    struct p2p_verbs_operation *operations;
    int64_t operation_count;
    struct p2p_verbs_operation *free;
    /* By their places. Whoever closes one may be another thread than the one that posts. */
    _Atomic(struct p2p_verbs_memory *) *memories;
    /* Read from the queue and not told yet. */
    struct ibv_wc kept[P2P_VERBS_ENTRIES];
    int kept_count;
    int kept_next;
};

struct p2p_verbs_queue_pair {
    uint64_t kind;
    struct p2p_verbs_nic *nic;
    struct ibv_qp *qp;
    int32_t tag;
    /* Places of its send queue that are free. */
    int32_t credits;
    int32_t outstanding;
    /* Of the operation that broke it; 0: none did. */
    int32_t status;
    int32_t vendor;
};

/* The handle's, or NULL if it is none. */
struct p2p_verbs_nic *p2p_verbs_nic_of(int64_t handle);
struct p2p_verbs_queue_pair *p2p_verbs_queue_pair_of(int64_t handle);

/* The registration at a place, or NULL if there is none. */
struct p2p_verbs_memory *p2p_verbs_memory_at(struct p2p_verbs_nic *nic, int64_t index);

/*
 * Reads the completion queue if nothing is kept. Returns how many are kept, or -errno after which
 * the queue is broken.
 */
int64_t p2p_verbs_keep(struct p2p_verbs_nic *nic, struct p2p_verbs_report *report);

#define P2P_VERBS_NIC_KIND UINT64_C(0x76657262736e6963)
#define P2P_VERBS_QUEUE_PAIR_KIND UINT64_C(0x7665726273717061)

#endif
