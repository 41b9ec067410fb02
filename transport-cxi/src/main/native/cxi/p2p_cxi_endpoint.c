#define _GNU_SOURCE

#include "p2p_cxi_endpoint.h"
#include "p2p_cxi_signals.h"

#include <errno.h>
#include <rdma/fi_errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Needs what the headers above declare. */
#include <rdma/fi_cxi_ext.h>

_Static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8, "64-bit platforms only");
_Static_assert(sizeof(struct p2p_cxi_report) == 256, "as drawn");
_Static_assert(offsetof(struct p2p_cxi_opening, threading) == 704, "as drawn");
_Static_assert(sizeof(struct p2p_cxi_opening) == 728, "as drawn");
_Static_assert(offsetof(struct p2p_cxi_found, address) == 40, "as drawn");
_Static_assert(sizeof(struct p2p_cxi_found) == 296, "as drawn");

/* The version that this code was written for. */
#define WRITTEN_FOR FI_VERSION(2, 1)

struct p2p_cxi_endpoint *p2p_cxi_endpoint_of(int64_t handle)
{
    struct p2p_cxi_endpoint *endpoint = (struct p2p_cxi_endpoint *)(intptr_t)handle;
    return handle > 0 && handle % 8 == 0 && endpoint->kind == P2P_CXI_ENDPOINT_KIND ? endpoint
                                                                                    : NULL;
}

/* -- what the provider is asked for */

static bool is_text(const char *text, size_t size)
{
    return memchr(text, 0, size) != NULL;
}

static bool is_opening(const struct p2p_cxi_opening *opening)
{
    return opening != NULL && is_text(opening->library, sizeof(opening->library)) &&
           is_text(opening->provider, sizeof(opening->provider)) &&
           is_text(opening->domain, sizeof(opening->domain)) &&
           is_text(opening->source, sizeof(opening->source));
}

static struct fi_info *hints_of(const struct p2p_cxi_library *library,
                                const struct p2p_cxi_opening *opening, bool depths, bool gpu)
{
    struct fi_info *hints = library->dupinfo(NULL);
    if (hints == NULL) {
        return NULL;
    }
    hints->fabric_attr->prov_name = strdup(opening->provider);
    if (opening->domain[0] != 0) {
        hints->domain_attr->name = strdup(opening->domain);
    }
    if (hints->fabric_attr->prov_name == NULL ||
        (opening->domain[0] != 0 && hints->domain_attr->name == NULL)) {
        library->freeinfo(hints);
        return NULL;
    }
    hints->caps = FI_RMA | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE;
    hints->mode = FI_CONTEXT | FI_CONTEXT2;
    hints->ep_attr->type = FI_EP_RDM;
    hints->domain_attr->mr_mode =
        FI_MR_ENDPOINT | FI_MR_PROV_KEY | FI_MR_ALLOCATED | FI_MR_VIRT_ADDR | FI_MR_LOCAL;
    hints->domain_attr->threading = (enum fi_threading)opening->threading;
    hints->domain_attr->av_type = FI_AV_TABLE;
    hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
    hints->tx_attr->op_flags = FI_DELIVERY_COMPLETE | FI_COMPLETION;
    if (depths) {
        hints->tx_attr->size = (size_t)opening->transmit_depth;
        hints->rx_attr->size = (size_t)opening->receive_depth;
    }
    if (gpu) {
        hints->caps |= FI_HMEM;
        hints->domain_attr->mr_mode |= FI_MR_HMEM;
    }
    return hints;
}

/*
 * Asks for what is wished first, then without the depths, which some providers refuse instead of
 * cutting them down, then without GPU memory.
 */
static int64_t ask(const struct p2p_cxi_library *library, const struct p2p_cxi_opening *opening,
                   const char *node, struct fi_info **found, struct p2p_cxi_report *report)
{
    uint32_t version = library->version < WRITTEN_FOR ? library->version : WRITTEN_FOR;
    int result = -FI_ENODATA;
    for (int gpu = opening->gpu_memory != 0; gpu >= 0 && result == -FI_ENODATA; gpu--) {
        for (int depths = opening->transmit_depth > 0; depths >= 0 && result == -FI_ENODATA;
             depths--) {
            struct fi_info *hints = hints_of(library, opening, depths != 0, gpu != 0);
            if (hints == NULL) {
                return p2p_cxi_failed("fi_dupinfo", ENOMEM, "", report);
            }
            *found = NULL;
            /* The first call loads the providers. */
            struct p2p_cxi_signals signals;
            p2p_cxi_signals_note(&signals);
            result = library->getinfo(version, node, NULL, node == NULL ? 0 : FI_SOURCE, hints,
                                      found);
            p2p_cxi_signals_give_back(&signals);
            library->freeinfo(hints);
        }
    }
    return result == 0 ? 0 : p2p_cxi_refused(library, "fi_getinfo", -(int64_t)result, report);
}

/* "found" is the whole list, "info" the entry to take. */
static int64_t find(const struct p2p_cxi_library *library, const struct p2p_cxi_opening *opening,
                    struct fi_info **found, struct fi_info **info, struct p2p_cxi_report *report)
{
    const char *node = opening->source[0] == 0 ? NULL : opening->source;
    int64_t result = ask(library, opening, node, found, report);
    if (result == 0 && node != NULL && (*found)->addr_format == FI_ADDR_STR) {
        /* Endpoints have names, as those of shm, and would all have this one. */
        library->freeinfo(*found);
        result = ask(library, opening, NULL, found, report);
    }
    if (result != 0) {
        return result;
    }
    for (*info = *found; *info != NULL; *info = (*info)->next) {
        const char *name = (*info)->fabric_attr->prov_name;
        if (name != NULL && strcmp(name, opening->provider) == 0) {
            return 0;
        }
    }
    library->freeinfo(*found);
    return p2p_cxi_failed("fi_getinfo", FI_ENODATA, "other providers answered, not this one",
                          report);
}

int64_t p2p_cxi_domains(const struct p2p_cxi_opening *opening, struct p2p_cxi_found *found,
                        char *names, int64_t count, struct p2p_cxi_report *report)
{
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (!is_opening(opening) || found == NULL || count < 0 || (count > 0 && names == NULL)) {
        return p2p_cxi_failed("p2p_cxi_domains", EINVAL, "arguments", report);
    }
    struct p2p_cxi_library library;
    int64_t result = p2p_cxi_library_open(opening->library, &library, report);
    if (result < 0) {
        return result;
    }
    found->version = (int32_t)library.version;
    struct p2p_cxi_opening any_depth = *opening;
    any_depth.transmit_depth = 0;
    struct fi_info *infos;
    struct fi_info *info;
    result = find(&library, &any_depth, &infos, &info, report);
    if (result < 0) {
        return result;
    }
    int64_t n = 0;
    found->bits = P2P_CXI_GPU_MEMORY;
    for (info = infos; info != NULL; info = info->next) {
        const char *name = info->domain_attr->name == NULL ? "" : info->domain_attr->name;
        if ((info->caps & FI_HMEM) == 0) {
            found->bits = 0;
        }
        bool known = false;
        for (int64_t i = 0; i < n && i < count && !known; i++) {
            known = strncmp(names + 64 * i, name, 63) == 0;
        }
        if (!known) {
            if (n < count) {
                p2p_cxi_copy(names + 64 * n, 64, name);
            }
            n++;
        }
    }
    library.freeinfo(infos);
    return n;
}

/* -- opening */

/*
 * What a closed registration leaves behind on cxi depends on four settings (fi_cxi(7)); they apply
 * to registrations made later. Other providers know none of them.
 */
static int32_t prepare_registrations(struct fid_domain *domain)
{
    int32_t bits = 0;
    struct fi_cxi_dom_ops *operations = NULL;
    if (fi_open_ops(&domain->fid, FI_CXI_DOM_OPS_3, 0, (void **)&operations, NULL) == 0 &&
        operations != NULL && operations->enable_hybrid_mr_desc != NULL &&
        operations->enable_hybrid_mr_desc(&domain->fid, true) == 0) {
        bits |= P2P_CXI_HYBRID_DESCRIPTORS;
    }
    bool on = true;
    bool off = false;
    if (fi_control(&domain->fid, FI_OPT_CXI_SET_MR_MATCH_EVENTS, &on) == 0) {
        bits |= P2P_CXI_MATCH_EVENTS;
    }
    bool standard = fi_control(&domain->fid, FI_OPT_CXI_SET_OPTIMIZED_MRS, &off) == 0;
    bool uncached = fi_control(&domain->fid, FI_OPT_CXI_SET_PROV_KEY_CACHE, &off) == 0;
    return standard && uncached ? bits | P2P_CXI_KEYS_OF_THEIR_OWN : bits;
}

static int64_t open_completions(struct p2p_cxi_endpoint *endpoint, int32_t depth,
                                struct p2p_cxi_report *report)
{
    struct fi_cq_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.size = (size_t)depth;
    attr.format = FI_CQ_FORMAT_CONTEXT;
    attr.wait_obj = FI_WAIT_FD;
    int result = fi_cq_open(endpoint->domain, &attr, &endpoint->cq, NULL);
    if (result == 0) {
        int fd = -1;
        if (fi_control(&endpoint->cq->fid, FI_GETWAIT, &fd) == 0 && fd >= 0) {
            endpoint->wait_fd = fd;
        }
        return 0;
    }
    endpoint->cq = NULL;
    attr.wait_obj = FI_WAIT_NONE;
    result = fi_cq_open(endpoint->domain, &attr, &endpoint->cq, NULL);
    if (result != 0) {
        endpoint->cq = NULL;
        return p2p_cxi_refused(&endpoint->library, "fi_cq_open", -(int64_t)result, report);
    }
    return 0;
}

static int64_t make_operations(struct p2p_cxi_endpoint *endpoint, int32_t completion_depth,
                               struct p2p_cxi_report *report)
{
    /* Never more outstanding than completions have room for: the queue cannot overrun. */
    size_t count = endpoint->info->tx_attr->size;
    if (count == 0 || count > (size_t)completion_depth) {
        count = (size_t)completion_depth;
    }
    endpoint->operations = calloc(count, sizeof(struct p2p_cxi_operation));
    if (endpoint->operations == NULL) {
        return p2p_cxi_failed("calloc", ENOMEM, "", report);
    }
    endpoint->operation_count = (int64_t)count;
    endpoint->memories = calloc(P2P_CXI_MEMORIES, sizeof(*endpoint->memories));
    if (endpoint->memories == NULL) {
        return p2p_cxi_failed("calloc", ENOMEM, "", report);
    }
    for (size_t i = count; i > 0; i--) {
        endpoint->operations[i - 1].next = endpoint->free;
        endpoint->free = &endpoint->operations[i - 1];
    }
    return 0;
}

static int64_t open_parts(struct p2p_cxi_endpoint *endpoint, const struct p2p_cxi_opening *opening,
                          struct p2p_cxi_found *found, struct p2p_cxi_report *report)
{
    const struct p2p_cxi_library *library = &endpoint->library;
    struct fi_info *info = endpoint->info;
    int result = library->fabric(info->fabric_attr, &endpoint->fabric, NULL);
    if (result != 0) {
        endpoint->fabric = NULL;
        return p2p_cxi_refused(library, "fi_fabric", -(int64_t)result, report);
    }
    result = fi_domain(endpoint->fabric, info, &endpoint->domain, NULL);
    if (result != 0) {
        endpoint->domain = NULL;
        return p2p_cxi_refused(library, "fi_domain", -(int64_t)result, report);
    }
    found->bits = prepare_registrations(endpoint->domain);
    struct fi_av_attr av;
    memset(&av, 0, sizeof(av));
    av.type = FI_AV_TABLE;
    result = fi_av_open(endpoint->domain, &av, &endpoint->av, NULL);
    if (result != 0) {
        endpoint->av = NULL;
        return p2p_cxi_refused(library, "fi_av_open", -(int64_t)result, report);
    }
    int64_t opened = open_completions(endpoint, opening->completion_depth, report);
    if (opened < 0) {
        return opened;
    }
    /* With its first endpoint shm takes over SIGSEGV and three other signals. */
    struct p2p_cxi_signals signals;
    p2p_cxi_signals_note(&signals);
    result = fi_endpoint(endpoint->domain, info, &endpoint->ep, NULL);
    p2p_cxi_signals_give_back(&signals);
    if (result != 0) {
        endpoint->ep = NULL;
        return p2p_cxi_refused(library, "fi_endpoint", -(int64_t)result, report);
    }
    result = fi_ep_bind(endpoint->ep, &endpoint->av->fid, 0);
    if (result != 0) {
        return p2p_cxi_refused(library, "fi_ep_bind of the address vector", -(int64_t)result,
                               report);
    }
    result = fi_ep_bind(endpoint->ep, &endpoint->cq->fid, FI_TRANSMIT | FI_RECV);
    if (result != 0) {
        return p2p_cxi_refused(library, "fi_ep_bind of the completion queue", -(int64_t)result,
                               report);
    }
    result = fi_enable(endpoint->ep);
    if (result != 0) {
        return p2p_cxi_refused(library, "fi_enable", -(int64_t)result, report);
    }
    size_t length = sizeof(found->address);
    result = fi_getname(&endpoint->ep->fid, found->address, &length);
    if (result != 0) {
        return p2p_cxi_refused(library, "fi_getname", -(int64_t)result, report);
    }
    endpoint->address_length = length;
    found->address_length = (int32_t)length;
    return make_operations(endpoint, opening->completion_depth, report);
}

static void tell(const struct p2p_cxi_endpoint *endpoint, struct p2p_cxi_found *found)
{
    const struct fi_info *info = endpoint->info;
    found->mr_mode = (int32_t)info->domain_attr->mr_mode;
    found->key_size = (int64_t)info->domain_attr->mr_key_size;
    found->longest =
        info->ep_attr->max_msg_size > INT64_MAX ? INT64_MAX : (int64_t)info->ep_attr->max_msg_size;
    found->operations = (int32_t)endpoint->operation_count;
    if (endpoint->wait_fd >= 0) {
        found->bits |= P2P_CXI_WAITS;
    }
    if ((info->caps & FI_HMEM) != 0) {
        found->bits |= P2P_CXI_GPU_MEMORY;
    }
}

int64_t p2p_cxi_open(const struct p2p_cxi_opening *opening, struct p2p_cxi_found *found,
                     struct p2p_cxi_report *report)
{
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (!is_opening(opening) || found == NULL || opening->threading < FI_THREAD_UNSPEC ||
        opening->threading > FI_THREAD_ENDPOINT || opening->transmit_depth < 1 ||
        opening->receive_depth < 1 || opening->completion_depth < 1 ||
        opening->completion_depth > 1 << 20) {
        return p2p_cxi_failed("p2p_cxi_open", EINVAL, "arguments", report);
    }
    struct p2p_cxi_endpoint *endpoint = calloc(1, sizeof(*endpoint));
    if (endpoint == NULL) {
        return p2p_cxi_failed("calloc", ENOMEM, "", report);
    }
    endpoint->kind = P2P_CXI_ENDPOINT_KIND;
    endpoint->wait_fd = -1;
    int64_t result = p2p_cxi_library_open(opening->library, &endpoint->library, report);
    if (result >= 0) {
        found->version = (int32_t)endpoint->library.version;
        struct fi_info *infos = NULL;
        struct fi_info *info = NULL;
        result = find(&endpoint->library, opening, &infos, &info, report);
        if (result >= 0) {
            endpoint->info = endpoint->library.dupinfo(info);
            endpoint->library.freeinfo(infos);
            result = endpoint->info == NULL ? p2p_cxi_failed("fi_dupinfo", ENOMEM, "", report)
                                            : open_parts(endpoint, opening, found, report);
        }
    }
    if (result >= 0) {
        tell(endpoint, found);
        return (int64_t)(intptr_t)endpoint;
    }
    /* Nothing uses what was opened so far, so closing it cannot be refused for a good reason. */
    struct p2p_cxi_report ignored;
    (void)p2p_cxi_close((int64_t)(intptr_t)endpoint, &ignored);
    return result;
}

/* -- closing */

static int64_t close_part(struct p2p_cxi_endpoint *endpoint, struct fid *fid, const char *call,
                          struct p2p_cxi_report *report)
{
    int result = fi_close(fid);
    return result == 0 ? 0
                       : p2p_cxi_refused(&endpoint->library, call, -(int64_t)result, report);
}

int64_t p2p_cxi_close(int64_t handle, struct p2p_cxi_report *report)
{
    struct p2p_cxi_endpoint *endpoint = p2p_cxi_endpoint_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (endpoint == NULL) {
        return p2p_cxi_failed("p2p_cxi_close", EINVAL, "handle", report);
    }
    int64_t result = 0;
    if (endpoint->ep != NULL) {
        result = close_part(endpoint, &endpoint->ep->fid, "fi_close of the endpoint", report);
        endpoint->ep = result == 0 ? NULL : endpoint->ep;
    }
    if (result == 0 && endpoint->av != NULL) {
        result = close_part(endpoint, &endpoint->av->fid, "fi_close of the address vector", report);
        endpoint->av = result == 0 ? NULL : endpoint->av;
    }
    if (result == 0 && endpoint->cq != NULL) {
        result =
            close_part(endpoint, &endpoint->cq->fid, "fi_close of the completion queue", report);
        endpoint->cq = result == 0 ? NULL : endpoint->cq;
    }
    if (result == 0 && endpoint->domain != NULL) {
        result = close_part(endpoint, &endpoint->domain->fid, "fi_close of the domain", report);
        endpoint->domain = result == 0 ? NULL : endpoint->domain;
    }
    if (result == 0 && endpoint->fabric != NULL) {
        result = close_part(endpoint, &endpoint->fabric->fid, "fi_close of the fabric", report);
        endpoint->fabric = result == 0 ? NULL : endpoint->fabric;
    }
    if (result < 0) {
        return result;
    }
    if (endpoint->info != NULL) {
        endpoint->library.freeinfo(endpoint->info);
    }
    free(endpoint->operations);
    free(endpoint->memories);
    endpoint->kind = 0;
    free(endpoint);
    return 0;
}
