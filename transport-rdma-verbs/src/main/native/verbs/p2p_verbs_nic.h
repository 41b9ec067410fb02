/* What NICs and connections stand on, shared by the files of this library. */
#ifndef P2P_VERBS_NIC_H
#define P2P_VERBS_NIC_H

#include "p2p_verbs_library.h"

#include <stdatomic.h>

/* Completions read at a time. */
#define P2P_VERBS_ENTRIES 64

/* A registration. Work requests that use it count it. */
struct p2p_verbs_memory {
    struct ibv_mr *pieces[P2P_VERBS_PIECES];
    int32_t shift;
    /* Written by the owner of the NIC, and by whoever destroys; read by whoever closes. */
    _Atomic int64_t users;
};

struct p2p_verbs_connection;

/* An operation under way, or free for one. */
struct p2p_verbs_operation {
    struct p2p_verbs_operation *next;
    int64_t id;
    /* Of its work requests, how many have not ended; 0: it is free. */
    int32_t remaining;
    /* The first that is not 0. */
    int32_t status;
    int32_t vendor;
};

/* A work request that was given to a queue pair. */
struct p2p_verbs_request {
    /* NULL: it is a read that flushes, or only drains. */
    struct p2p_verbs_operation *operation;
    struct p2p_verbs_memory *memory;
    /* It ends with the read that flushes, which is behind it. */
    bool unproven;
    /* The device did not take it. */
    bool refused;
};

/*
 * Its requests end in the order in which they were posted, so the completion of one is that of all
 * before it.
 */
struct p2p_verbs_queue_pair {
    struct p2p_verbs_connection *connection;
    struct p2p_verbs_nic *nic;
    struct ibv_qp *qp;
    /* In the NIC's table. */
    uint32_t place;
    /* Of the peer. */
    int32_t their_nic;
    /* A ring, whose length is a power of two; request n lies at n modulo that. */
    struct p2p_verbs_request *requests;
    uint32_t mask;
    uint32_t oldest;
    uint32_t next;
    /* How many more it takes; one place is kept for what drains it. */
    int32_t room;
    /* Since the last one that is signalled. */
    int32_t unsignalled;
    int64_t unsignalled_bytes;
};

struct p2p_verbs_connection {
    uint64_t kind;
    int32_t tag;
    bool flush;
    int32_t nic_count;
    int32_t pair_count;
    struct p2p_verbs_nic *nics[P2P_VERBS_NICS];
    struct p2p_verbs_queue_pair pairs[P2P_VERBS_PAIRS];
    struct p2p_verbs_operation *operations;
    int32_t operation_count;
    struct p2p_verbs_operation *free;
    int64_t *progress;
    /* Whose turn it is, and what it was given in this turn. */
    int32_t turn;
    int32_t turn_requests;
    int64_t turn_bytes;
    /* What broke it; 0: nothing, or another side. */
    int32_t status;
    int32_t vendor;
    bool told_broken;
    /* Its NICs know nothing of it any more. */
    bool detached;
};

struct p2p_verbs_nic {
    uint64_t kind;
    struct p2p_verbs_library library;
    struct ibv_context *context;
    struct ibv_pd *pd;
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
    /* Where reads that flush put their byte. */
    struct ibv_mr *scratch;
    uint64_t scratch_bytes;
    int32_t port;
    int32_t gid_index;
    int64_t longest;
    int64_t longest_memory;
    /* By their places, NULL where one is free. */
    struct p2p_verbs_queue_pair **pairs;
    uint32_t pair_places;
    /* Those that are not destroyed; whoever destroys one may be another thread than the owner. */
    _Atomic int64_t pair_count;
    /* Requests that there is room for in the completion queue: each may end with an entry there. */
    int64_t room;
    /* The queue will send an event, or has sent one that was not read. */
    bool armed;
    /* The queue had a completion of no request: what it says cannot be trusted any more. */
    bool strayed;
    /* The queue cannot be read any more, or what it should tell was never posted. */
    bool broken;
    /* By their places. Whoever closes one may be another thread than the one that posts. */
    _Atomic(struct p2p_verbs_memory *) *memories;
    /* Read from the queue and not told yet. */
    struct ibv_wc kept[P2P_VERBS_ENTRIES];
    int kept_count;
    int kept_next;
};

/* The handle's, or NULL if it is none. */
struct p2p_verbs_nic *p2p_verbs_nic_of(int64_t handle);
struct p2p_verbs_connection *p2p_verbs_connection_of(int64_t handle);

/* The registration at a place, or NULL if there is none. */
struct p2p_verbs_memory *p2p_verbs_memory_at(struct p2p_verbs_nic *nic, int64_t index);

/* The piece of a registration that has an address, or NULL if none has. */
struct ibv_mr *p2p_verbs_piece_at(const struct p2p_verbs_memory *memory, uint64_t address);

/*
 * Reads the completion queue if nothing is kept. Returns how many are kept, or -errno after which
 * the queue is broken.
 */
int64_t p2p_verbs_keep(struct p2p_verbs_nic *nic, struct p2p_verbs_report *report);

/* Moves a queue pair to error. Returns 0 or a positive errno. */
int p2p_verbs_to_error(struct p2p_verbs_queue_pair *pair);

#define P2P_VERBS_NIC_KIND UINT64_C(0x76657262736e6963)
#define P2P_VERBS_CONNECTION_KIND UINT64_C(0x76657262736f6e65)

#endif
