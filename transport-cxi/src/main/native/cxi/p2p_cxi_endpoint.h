/* What an endpoint stands on, shared by the files of this library. */
#ifndef P2P_CXI_ENDPOINT_H
#define P2P_CXI_ENDPOINT_H

#include "p2p_cxi_library.h"

#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_rma.h>
#include <stdatomic.h>

/* A registration. Operations that use it count it. */
struct p2p_cxi_memory {
    struct fid_mr *mr;
    void *descriptor;
    /* Written by the owner of the endpoint, read by whoever closes. */
    _Atomic int64_t users;
};

/* An operation under way, or free for one. The provider writes to the context meanwhile. */
struct p2p_cxi_operation {
    struct fi_context2 context;
    struct p2p_cxi_memory *memory;
    struct p2p_cxi_operation *next;
    int64_t id;
    int32_t channel;
};

struct p2p_cxi_endpoint {
    uint64_t kind;
    struct p2p_cxi_library library;
    struct fi_info *info;
    struct fid_fabric *fabric;
    struct fid_domain *domain;
    struct fid_av *av;
    struct fid_cq *cq;
    struct fid_ep *ep;
    int wait_fd;
    /* The queue had a completion of no operation: what it says cannot be trusted any more. */
    bool strayed;
    size_t address_length;
    struct p2p_cxi_operation *operations;
    int64_t operation_count;
    struct p2p_cxi_operation *free;
    /* By their places. Whoever closes one may be another thread than the one that posts. */
    _Atomic(struct p2p_cxi_memory *) *memories;
};

/* The handle's endpoint, or NULL if it is none. */
struct p2p_cxi_endpoint *p2p_cxi_endpoint_of(int64_t handle);

/* The registration at a place, or NULL if there is none. */
struct p2p_cxi_memory *p2p_cxi_memory_at(struct p2p_cxi_endpoint *endpoint, int64_t index);

#define P2P_CXI_ENDPOINT_KIND UINT64_C(0x6378692d656e6470)

#endif
