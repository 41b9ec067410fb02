#define _GNU_SOURCE

#include "p2p_cxi_library.h"
#include "p2p_cxi_signals.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void p2p_cxi_copy(char *to, size_t size, const char *text)
{
    size_t length = text == NULL ? 0 : strnlen(text, size - 1);
    if (length > 0) {
        memcpy(to, text, length);
    }
    memset(to + length, 0, size - length);
}

int64_t p2p_cxi_failed(const char *call, int64_t error, const char *text,
                       struct p2p_cxi_report *report)
{
    int32_t positive = error > 0 && error <= INT32_MAX ? (int32_t)error : EIO;
    report->error = positive;
    report->provider_error = 0;
    p2p_cxi_copy(report->call, sizeof(report->call), call);
    p2p_cxi_copy(report->text, sizeof(report->text), text);
    return -(int64_t)positive;
}

int64_t p2p_cxi_refused(const struct p2p_cxi_library *library, const char *call, int64_t error,
                        struct p2p_cxi_report *report)
{
    return p2p_cxi_failed(call, error, library->strerror((int)error), report);
}

/*
 * The provider's cache of registrations would keep keys alive behind a closed registration, and its
 * monitor memhooks patches code of the process (fi_mr(3)). libfabric reads these variables once,
 * when it is first called. What the user chose stays.
 */
static void prepare_environment(void)
{
    /* Or libinfinipath takes signals over, for a moment even where they are given back. */
    (void)setenv("IPATH_NO_BACKTRACE", "1", 0);
    (void)setenv("FI_MR_CACHE_MONITOR", "disabled", 0);
    (void)setenv("FI_MR_CUDA_CACHE_MONITOR_ENABLED", "0", 0);
}

static void *symbol(void *handle, const char *name, struct p2p_cxi_report *report)
{
    void *address = dlsym(handle, name);
    if (address == NULL) {
        p2p_cxi_failed("dlsym", ENOSYS, dlerror(), report);
    }
    return address;
}

int64_t p2p_cxi_library_open(const char *path, struct p2p_cxi_library *library,
                             struct p2p_cxi_report *report)
{
    prepare_environment();
    struct p2p_cxi_signals signals;
    p2p_cxi_signals_note(&signals);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    p2p_cxi_signals_give_back(&signals);
    if (handle == NULL) {
        return p2p_cxi_failed("dlopen", ENOENT, dlerror(), report);
    }
    uint32_t (*version)(void) = NULL;
    /* POSIX lets a pointer of dlsym become one to a function this way (dlsym(3)). */
    *(void **)&version = symbol(handle, "fi_version", report);
    *(void **)&library->getinfo = symbol(handle, "fi_getinfo", report);
    *(void **)&library->freeinfo = symbol(handle, "fi_freeinfo", report);
    *(void **)&library->dupinfo = symbol(handle, "fi_dupinfo", report);
    *(void **)&library->fabric = symbol(handle, "fi_fabric", report);
    *(void **)&library->strerror = symbol(handle, "fi_strerror", report);
    if (version == NULL || library->getinfo == NULL || library->freeinfo == NULL ||
        library->dupinfo == NULL || library->fabric == NULL || library->strerror == NULL) {
        return -(int64_t)report->error;
    }
    library->version = version();
    return 0;
}
