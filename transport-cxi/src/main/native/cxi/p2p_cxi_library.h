/* libfabric, opened at run time: the few functions that it exports by name. */
#ifndef P2P_CXI_LIBRARY_H
#define P2P_CXI_LIBRARY_H

#include "p2p_cxi.h"

#include <rdma/fabric.h>

struct p2p_cxi_library {
    int (*getinfo)(uint32_t version, const char *node, const char *service, uint64_t flags,
                   const struct fi_info *hints, struct fi_info **info);
    void (*freeinfo)(struct fi_info *info);
    struct fi_info *(*dupinfo)(const struct fi_info *info);
    int (*fabric)(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context);
    const char *(*strerror)(int error);
    uint32_t version;
};

/* Opens it and never closes it again. Returns 0 or -errno. */
int64_t p2p_cxi_library_open(const char *path, struct p2p_cxi_library *library,
                             struct p2p_cxi_report *report);

/* Says what failed, with libfabric's text for the error. Returns -error, error being positive. */
int64_t p2p_cxi_refused(const struct p2p_cxi_library *library, const char *call, int64_t error,
                        struct p2p_cxi_report *report);

/* The same with a text at hand. */
int64_t p2p_cxi_failed(const char *call, int64_t error, const char *text,
                       struct p2p_cxi_report *report);

/* Copies a text; what does not fit is left out. NULL is the empty text. */
void p2p_cxi_copy(char *to, size_t size, const char *text);

#endif
