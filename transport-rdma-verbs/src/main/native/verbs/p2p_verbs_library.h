/* libibverbs, opened at run time: the functions that it exports by name and version. */
#ifndef P2P_VERBS_LIBRARY_H
#define P2P_VERBS_LIBRARY_H

#include "p2p_verbs.h"

#include <infiniband/verbs.h>
#include <stddef.h>

struct p2p_verbs_library {
    struct ibv_device **(*get_device_list)(int *count);
    void (*free_device_list)(struct ibv_device **list);
    const char *(*get_device_name)(struct ibv_device *device);
    struct ibv_context *(*open_device)(struct ibv_device *device);
    int (*close_device)(struct ibv_context *context);
    int (*query_device)(struct ibv_context *context, struct ibv_device_attr *attr);
    /* Fills the fields up to link_layer and flags, and leaves what was added later alone. */
    int (*query_port)(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr);
    int (*query_gid)(struct ibv_context *context, uint8_t port, int index, union ibv_gid *gid);
    struct ibv_pd *(*alloc_pd)(struct ibv_context *context);
    int (*dealloc_pd)(struct ibv_pd *pd);
    struct ibv_mr *(*reg_mr)(struct ibv_pd *pd, void *address, size_t length, int access);
    /* NULL before libibverbs of rdma-core 34. */
    struct ibv_mr *(*reg_dmabuf_mr)(struct ibv_pd *pd, uint64_t offset, size_t length,
                                    uint64_t iova, int fd, int access);
    int (*dereg_mr)(struct ibv_mr *mr);
    struct ibv_comp_channel *(*create_comp_channel)(struct ibv_context *context);
    int (*destroy_comp_channel)(struct ibv_comp_channel *channel);
    struct ibv_cq *(*create_cq)(struct ibv_context *context, int depth, void *cq_context,
                                struct ibv_comp_channel *channel, int vector);
    int (*destroy_cq)(struct ibv_cq *cq);
    int (*get_cq_event)(struct ibv_comp_channel *channel, struct ibv_cq **cq, void **cq_context);
    void (*ack_cq_events)(struct ibv_cq *cq, unsigned int count);
    struct ibv_qp *(*create_qp)(struct ibv_pd *pd, struct ibv_qp_init_attr *attr);
    int (*modify_qp)(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);
    int (*destroy_qp)(struct ibv_qp *qp);
    int (*get_async_event)(struct ibv_context *context, struct ibv_async_event *event);
    void (*ack_async_event)(struct ibv_async_event *event);
};

/* Opens it and never closes it again. Returns 0 or -errno. */
int64_t p2p_verbs_library_open(const char *path, struct p2p_verbs_library *library,
                               struct p2p_verbs_report *report);

/*
 * Says what failed. error: positive; where a function tells it in errno alone, give errno. Returns
 * -error.
 */
int64_t p2p_verbs_failed(const char *call, int64_t error, const char *text,
                         struct p2p_verbs_report *report);

/* Copies a text; what does not fit is left out. NULL is the empty text. */
void p2p_verbs_copy(char *to, size_t size, const char *text);

#endif
