#define _GNU_SOURCE

#include "p2p_verbs_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

void p2p_verbs_copy(char *to, size_t size, const char *text)
{
    size_t length = text == NULL ? 0 : strnlen(text, size - 1);
    if (length > 0) {
        memcpy(to, text, length);
    }
    memset(to + length, 0, size - length);
}

int64_t p2p_verbs_failed(const char *call, int64_t error, const char *text,
                         struct p2p_verbs_report *report)
{
    int32_t positive = error > 0 && error <= INT32_MAX ? (int32_t)error : EIO;
    report->error = positive;
    report->unused = 0;
    p2p_verbs_copy(report->call, sizeof(report->call), call);
    p2p_verbs_copy(report->text, sizeof(report->text), text);
    return -(int64_t)positive;
}

/*
 * Most functions exist twice: as IBVERBS_1.0, for programs of 2006 with other structures, and as
 * IBVERBS_1.1. The version is named, so that never the wrong one is found.
 */
static const struct {
    const char *name;
    const char *version;
    size_t place;
    bool optional;
} symbols[] = {
#define SYMBOL(name, version, optional) \
    {"ibv_" #name, version, offsetof(struct p2p_verbs_library, name), optional}
    SYMBOL(get_device_list, "IBVERBS_1.1", false),
    SYMBOL(free_device_list, "IBVERBS_1.1", false),
    SYMBOL(get_device_name, "IBVERBS_1.1", false),
    SYMBOL(open_device, "IBVERBS_1.1", false),
    SYMBOL(close_device, "IBVERBS_1.1", false),
    SYMBOL(query_device, "IBVERBS_1.1", false),
    SYMBOL(query_port, "IBVERBS_1.1", false),
    SYMBOL(query_gid, "IBVERBS_1.1", false),
    SYMBOL(alloc_pd, "IBVERBS_1.1", false),
    SYMBOL(dealloc_pd, "IBVERBS_1.1", false),
    SYMBOL(reg_mr, "IBVERBS_1.1", false),
    SYMBOL(reg_dmabuf_mr, "IBVERBS_1.12", true),
    SYMBOL(dereg_mr, "IBVERBS_1.1", false),
    SYMBOL(create_comp_channel, "IBVERBS_1.0", false),
    SYMBOL(destroy_comp_channel, "IBVERBS_1.0", false),
    SYMBOL(create_cq, "IBVERBS_1.1", false),
    SYMBOL(destroy_cq, "IBVERBS_1.1", false),
    SYMBOL(get_cq_event, "IBVERBS_1.1", false),
    SYMBOL(ack_cq_events, "IBVERBS_1.1", false),
    SYMBOL(create_qp, "IBVERBS_1.1", false),
    SYMBOL(modify_qp, "IBVERBS_1.1", false),
    SYMBOL(destroy_qp, "IBVERBS_1.1", false),
    SYMBOL(get_async_event, "IBVERBS_1.1", false),
    SYMBOL(ack_async_event, "IBVERBS_1.1", false),
#undef SYMBOL
};

_Static_assert(sizeof(symbols) / sizeof(symbols[0]) * sizeof(void *) ==
                   sizeof(struct p2p_verbs_library),
               "a symbol for each function");

int64_t p2p_verbs_library_open(const char *path, struct p2p_verbs_library *library,
                               struct p2p_verbs_report *report)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        return p2p_verbs_failed("dlopen", ENOENT, dlerror(), report);
    }
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        void *address = dlvsym(handle, symbols[i].name, symbols[i].version);
        if (address == NULL && !symbols[i].optional) {
            return p2p_verbs_failed("dlvsym", ENOSYS, dlerror(), report);
        }
        /* POSIX lets a pointer of dlsym become one to a function this way (dlsym(3)). */
        memcpy((char *)library + symbols[i].place, &address, sizeof(address));
    }
    return 0;
}
