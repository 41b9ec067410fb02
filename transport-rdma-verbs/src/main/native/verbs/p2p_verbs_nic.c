#define _GNU_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8, "64-bit platforms only");
_Static_assert(sizeof(struct p2p_verbs_report) == 256, "as drawn");
_Static_assert(offsetof(struct p2p_verbs_opening, port) == 576, "as drawn");
_Static_assert(sizeof(struct p2p_verbs_opening) == 592, "as drawn");
_Static_assert(offsetof(struct p2p_verbs_found, gid) == 48, "as drawn");
_Static_assert(sizeof(struct p2p_verbs_found) == 72, "as drawn");

struct p2p_verbs_nic *p2p_verbs_nic_of(int64_t handle)
{
    struct p2p_verbs_nic *nic = (struct p2p_verbs_nic *)(intptr_t)handle;
    return handle > 0 && handle % 8 == 0 && nic->kind == P2P_VERBS_NIC_KIND ? nic : NULL;
}

/* -- the library's devices */

int64_t p2p_verbs_devices(const char *path, char *names, int64_t count,
                          struct p2p_verbs_report *report)
{
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (path == NULL || count < 0 || (count > 0 && names == NULL)) {
        return p2p_verbs_failed("p2p_verbs_devices", EINVAL, "arguments", report);
    }
    struct p2p_verbs_library library;
    int64_t result = p2p_verbs_library_open(path, &library, report);
    if (result < 0) {
        return result;
    }
    int n = 0;
    struct ibv_device **list = library.get_device_list(&n);
    if (list == NULL) {
        return p2p_verbs_failed("ibv_get_device_list", errno, "", report);
    }
    for (int i = 0; i < n && i < count; i++) {
        p2p_verbs_copy(names + 64 * (int64_t)i, 64, library.get_device_name(list[i]));
    }
    library.free_device_list(list);
    return n;
}

static int64_t open_device(struct p2p_verbs_nic *nic, const char *name,
                           struct p2p_verbs_report *report)
{
    struct p2p_verbs_library *library = &nic->library;
    int n = 0;
    struct ibv_device **list = library->get_device_list(&n);
    if (list == NULL) {
        return p2p_verbs_failed("ibv_get_device_list", errno, "", report);
    }
    struct ibv_device *device = NULL;
    for (int i = 0; i < n && device == NULL; i++) {
        const char *each = library->get_device_name(list[i]);
        device = each != NULL && strcmp(each, name) == 0 ? list[i] : NULL;
    }
    int64_t result = 0;
    if (device == NULL) {
        result = p2p_verbs_failed("ibv_get_device_list", ENODEV,
                                  "the library has no driver for the device", report);
    } else {
        nic->context = library->open_device(device);
        if (nic->context == NULL) {
            result = p2p_verbs_failed("ibv_open_device", errno, "", report);
        }
    }
    library->free_device_list(list);
    return result;
}

/* -- what the device can */

static int32_t clamped(int64_t value)
{
    return value < 0 ? 0 : value > INT32_MAX ? INT32_MAX : (int32_t)value;
}

static int64_t query_device(struct p2p_verbs_nic *nic, struct p2p_verbs_found *found,
                            int64_t *completion_depth, struct p2p_verbs_report *report)
{
    struct ibv_device_attr device;
    memset(&device, 0, sizeof(device));
    int result = nic->library.query_device(nic->context, &device);
    if (result != 0) {
        return p2p_verbs_failed("ibv_query_device", result, "", report);
    }
    nic->longest_memory =
        device.max_mr_size > INT64_MAX ? INT64_MAX : (int64_t)device.max_mr_size;
    found->longest_memory = nic->longest_memory;
    found->send_depth = clamped(device.max_qp_wr);
    found->reads_started = clamped(device.max_qp_init_rd_atom);
    found->reads_served = clamped(device.max_qp_rd_atom);
    if (*completion_depth > device.max_cqe && device.max_cqe > 0) {
        *completion_depth = device.max_cqe;
    }
    return 0;
}

/* What may change while it is open. */
static int64_t query_port(struct p2p_verbs_nic *nic, struct p2p_verbs_found *found,
                          struct p2p_verbs_report *report)
{
    struct p2p_verbs_library *library = &nic->library;
    struct ibv_port_attr port;
    memset(&port, 0, sizeof(port));
    int result = library->query_port(nic->context, (uint8_t)nic->port, &port);
    if (result != 0) {
        return p2p_verbs_failed("ibv_query_port", result > 0 ? result : errno, "", report);
    }
    nic->longest = port.max_msg_sz;
    found->longest = nic->longest;
    found->mtu = (int32_t)port.active_mtu;
    found->lid = port.lid;
    found->link_layer = port.link_layer == IBV_LINK_LAYER_ETHERNET ? P2P_VERBS_ETHERNET
                                                                   : P2P_VERBS_INFINIBAND;
    /* So it is for virtual functions of some devices (ibv_modify_qp(3)). */
    found->by_gid = (port.flags & IBV_QPF_GRH_REQUIRED) != 0;
    found->active = port.state == IBV_PORT_ACTIVE;
    if (nic->gid_index >= 0) {
        union ibv_gid gid;
        result = library->query_gid(nic->context, (uint8_t)nic->port, nic->gid_index, &gid);
        if (result != 0) {
            return p2p_verbs_failed("ibv_query_gid", result > 0 ? result : errno,
                                    "the port has no address at this index", report);
        }
        memcpy(found->gid, gid.raw, sizeof(found->gid));
    }
    return 0;
}

/* -- opening */

static int64_t never_block(int fd, const char *what, struct p2p_verbs_report *report)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return p2p_verbs_failed("fcntl", errno, what, report);
    }
    return 0;
}

static int64_t open_parts(struct p2p_verbs_nic *nic, const struct p2p_verbs_opening *opening,
                          struct p2p_verbs_found *found, struct p2p_verbs_report *report)
{
    struct p2p_verbs_library *library = &nic->library;
    int64_t result = open_device(nic, opening->device, report);
    if (result < 0) {
        return result;
    }
    int64_t depth = opening->completion_depth;
    result = query_device(nic, found, &depth, report);
    if (result >= 0) {
        result = query_port(nic, found, report);
    }
    if (result < 0) {
        return result;
    }
    result = never_block(nic->context->async_fd, "of events", report);
    if (result < 0) {
        return result;
    }
    nic->pd = library->alloc_pd(nic->context);
    if (nic->pd == NULL) {
        return p2p_verbs_failed("ibv_alloc_pd", errno, "", report);
    }
    nic->scratch = library->reg_mr(nic->pd, &nic->scratch_bytes, sizeof(nic->scratch_bytes),
                                   IBV_ACCESS_LOCAL_WRITE);
    if (nic->scratch == NULL) {
        return p2p_verbs_failed("ibv_reg_mr", errno, "of a word for flushes", report);
    }
    nic->channel = library->create_comp_channel(nic->context);
    if (nic->channel == NULL) {
        return p2p_verbs_failed("ibv_create_comp_channel", errno, "", report);
    }
    result = never_block(nic->channel->fd, "of completions", report);
    if (result < 0) {
        return result;
    }
    nic->cq = library->create_cq(nic->context, (int)depth, nic, nic->channel, 0);
    if (nic->cq == NULL) {
        return p2p_verbs_failed("ibv_create_cq", errno, "", report);
    }
    nic->room = depth;
    found->requests = (int32_t)depth;
    nic->memories = calloc(P2P_VERBS_MEMORIES, sizeof(*nic->memories));
    return nic->memories == NULL ? p2p_verbs_failed("calloc", ENOMEM, "", report) : 0;
}

int64_t p2p_verbs_open(const struct p2p_verbs_opening *opening, struct p2p_verbs_found *found,
                       struct p2p_verbs_report *report)
{
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (opening == NULL || found == NULL ||
        memchr(opening->library, 0, sizeof(opening->library)) == NULL ||
        memchr(opening->device, 0, sizeof(opening->device)) == NULL || opening->port < 1 ||
        opening->port > UINT8_MAX || opening->gid_index < -1 || opening->completion_depth < 1 ||
        opening->completion_depth > 1 << 20) {
        return p2p_verbs_failed("p2p_verbs_open", EINVAL, "arguments", report);
    }
    memset(found, 0, sizeof(*found));
    struct p2p_verbs_nic *nic = calloc(1, sizeof(*nic));
    if (nic == NULL) {
        return p2p_verbs_failed("calloc", ENOMEM, "", report);
    }
    nic->kind = P2P_VERBS_NIC_KIND;
    nic->port = opening->port;
    nic->gid_index = opening->gid_index;
    int64_t result = p2p_verbs_library_open(opening->library, &nic->library, report);
    if (result >= 0) {
        result = open_parts(nic, opening, found, report);
    }
    if (result >= 0) {
        return (int64_t)(intptr_t)nic;
    }
    /* Nothing uses what was opened so far, so closing it cannot be refused for a good reason. */
    struct p2p_verbs_report ignored;
    (void)p2p_verbs_close((int64_t)(intptr_t)nic, &ignored);
    return result;
}

int64_t p2p_verbs_refresh(int64_t handle, struct p2p_verbs_found *found,
                          struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (nic == NULL || found == NULL) {
        return p2p_verbs_failed("p2p_verbs_refresh", EINVAL, "arguments", report);
    }
    return query_port(nic, found, report);
}

/* -- closing */

static bool has_memories(const struct p2p_verbs_nic *nic)
{
    for (int64_t i = 0; nic->memories != NULL && i < P2P_VERBS_MEMORIES; i++) {
        if (atomic_load(&nic->memories[i]) != NULL) {
            return true;
        }
    }
    return false;
}

int64_t p2p_verbs_close(int64_t handle, struct p2p_verbs_report *report)
{
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (nic == NULL) {
        return p2p_verbs_failed("p2p_verbs_close", EINVAL, "handle", report);
    }
    if (nic->pair_count > 0 || has_memories(nic)) {
        return p2p_verbs_failed("p2p_verbs_close", EBUSY,
                                "it has connections, or memory is registered", report);
    }
    struct p2p_verbs_library *library = &nic->library;
    int result = nic->cq == NULL ? 0 : library->destroy_cq(nic->cq);
    if (result != 0) {
        return p2p_verbs_failed("ibv_destroy_cq", result, "", report);
    }
    nic->cq = NULL;
    result = nic->channel == NULL ? 0 : library->destroy_comp_channel(nic->channel);
    if (result != 0) {
        return p2p_verbs_failed("ibv_destroy_comp_channel", result, "", report);
    }
    nic->channel = NULL;
    result = nic->scratch == NULL ? 0 : library->dereg_mr(nic->scratch);
    if (result != 0) {
        return p2p_verbs_failed("ibv_dereg_mr", result, "", report);
    }
    nic->scratch = NULL;
    result = nic->pd == NULL ? 0 : library->dealloc_pd(nic->pd);
    if (result != 0) {
        return p2p_verbs_failed("ibv_dealloc_pd", result, "", report);
    }
    nic->pd = NULL;
    result = nic->context == NULL ? 0 : library->close_device(nic->context);
    if (result != 0) {
        return p2p_verbs_failed("ibv_close_device", result > 0 ? result : errno, "", report);
    }
    free(nic->pairs);
    free(nic->memories);
    nic->kind = 0;
    free(nic);
    return 0;
}
