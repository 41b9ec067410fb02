#define _GNU_SOURCE

#include "p2p_cuda.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* Results of the driver. */
#define SUCCESS 0
#define INVALID_VALUE 1
#define NOT_INITIALIZED 3
#define DEINITIALIZED 4
#define INVALID_CONTEXT 201

/* Attributes of a pointer, and a kind of memory. */
#define ATTRIBUTE_MEMORY_TYPE 2
#define ATTRIBUTE_IS_MANAGED 8
#define ATTRIBUTE_DEVICE_ORDINAL 9
#define TYPE_DEVICE 2

#define HANDLE_DMABUF 1

typedef unsigned long long device_pointer;
typedef int (*pointer_attribute)(void *value, int attribute, device_pointer pointer);
typedef int (*address_range_handle)(void *handle, device_pointer pointer, size_t size, int type,
                                    unsigned long long flags);

/* A symbol of the driver, if the process has loaded the driver itself. */
static void *loaded(const char *symbol)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (driver == NULL) {
        return NULL;
    }
    void *address = dlsym(driver, symbol);
    /* Gives back what this dlopen counted; whoever loaded the driver holds it. */
    (void)dlclose(driver);
    return address;
}

static int64_t owner_of(pointer_attribute get, device_pointer pointer)
{
    /* The driver writes 4 bytes for some attributes and 1 for others. */
    uint32_t type = 0;
    int result = get(&type, ATTRIBUTE_MEMORY_TYPE, pointer);
    /* The driver does not know the address, or nothing of CUDA has begun. */
    if (result == INVALID_VALUE || result == NOT_INITIALIZED || result == DEINITIALIZED ||
        result == INVALID_CONTEXT) {
        return 0;
    }
    if (result != SUCCESS) {
        return -(int64_t)EIO;
    }
    uint32_t managed = 0;
    if (get(&managed, ATTRIBUTE_IS_MANAGED, pointer) == SUCCESS && managed != 0) {
        return -(int64_t)EOPNOTSUPP;
    }
    if (type != TYPE_DEVICE) {
        return 0;
    }
    int32_t device = -1;
    if (get(&device, ATTRIBUTE_DEVICE_ORDINAL, pointer) != SUCCESS || device < 0) {
        return -(int64_t)EIO;
    }
    return (int64_t)device + 1;
}

int64_t p2p_cuda_is_possible(void)
{
    return loaded("cuPointerGetAttribute") != NULL || access("/dev/nvidiactl", F_OK) == 0;
}

int64_t p2p_cuda_owner(int64_t address, int64_t length)
{
    if (address <= 0 || length <= 0 || length > INT64_MAX - address) {
        return -(int64_t)EINVAL;
    }
    pointer_attribute get;
    /* POSIX lets a pointer of dlsym become one to a function this way (dlsym(3)). */
    *(void **)&get = loaded("cuPointerGetAttribute");
    if (get == NULL) {
        return 0;
    }
    int64_t first = owner_of(get, (device_pointer)address);
    int64_t last = owner_of(get, (device_pointer)(address + length - 1));
    if (first < 0 || first == last) {
        return first;
    }
    return last < 0 ? last : -(int64_t)EINVAL;
}

int64_t p2p_cuda_dmabuf(int64_t address, int64_t length)
{
    if (address <= 0 || length <= 0 || length > INT64_MAX - address) {
        return -(int64_t)EINVAL;
    }
    address_range_handle get;
    *(void **)&get = loaded("cuMemGetHandleForAddressRange");
    long page = sysconf(_SC_PAGESIZE);
    if (get == NULL || page <= 0) {
        return -(int64_t)ENOSYS;
    }
    uint64_t start = (uint64_t)address / (uint64_t)page * (uint64_t)page;
    uint64_t end = (uint64_t)(address + length) + (uint64_t)page - 1;
    int fd = -1;
    if (get(&fd, start, (size_t)(end / (uint64_t)page * (uint64_t)page - start), HANDLE_DMABUF,
            0) != SUCCESS ||
        fd < 0) {
        return -(int64_t)EIO;
    }
    return fd;
}

int64_t p2p_cuda_close_dmabuf(int32_t fd)
{
    return close(fd) == 0 ? 0 : -(int64_t)errno;
}
