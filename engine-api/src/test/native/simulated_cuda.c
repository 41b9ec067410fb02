/*
 * A stand-in for NVIDIA's driver library on machines without a GPU. Memory is of the GPU n if it is
 * a mapping of a file whose name ends in "simulated-gpu-n", and managed if the name ends in
 * "simulated-managed-n"; all else is unknown to it, as the memory of a host is to the driver. The
 * dma-buf of such memory is its file.
 *
 * It answers as cuda.h says (CUDA Driver API): cuPointerGetAttribute, cuMemGetHandleForAddressRange.
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SUCCESS 0
#define INVALID_VALUE 1
#define NOT_SUPPORTED 801
#define MEMORY_TYPE 2
#define IS_MANAGED 8
#define DEVICE_ORDINAL 9
#define TYPE_DEVICE 2
#define DMABUF 1

struct mapping {
    unsigned long long start;
    unsigned long long end;
    char path[512];
    int device;
    bool managed;
};

static bool parse(const char *line, struct mapping *mapping)
{
    mapping->path[0] = 0;
    if (sscanf(line, "%llx-%llx %*s %*s %*s %*s %511[^\n]", &mapping->start, &mapping->end,
               mapping->path) != 3) {
        return false;
    }
    const char *name = strstr(mapping->path, "simulated-");
    mapping->managed = name != NULL && sscanf(name, "simulated-managed-%d", &mapping->device) == 1;
    return mapping->managed ||
           (name != NULL && sscanf(name, "simulated-gpu-%d", &mapping->device) == 1);
}

static bool find(unsigned long long pointer, struct mapping *mapping)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    bool found = false;
    char line[1024];
    while (maps != NULL && !found && fgets(line, sizeof(line), maps) != NULL) {
        found = parse(line, mapping) && pointer >= mapping->start && pointer < mapping->end;
    }
    if (maps != NULL) {
        fclose(maps);
    }
    return found;
}

__attribute__((visibility("default"))) int cuPointerGetAttribute(void *value, int attribute,
                                                                 unsigned long long pointer)
{
    struct mapping mapping;
    if (!find(pointer, &mapping)) {
        return INVALID_VALUE;
    }
    switch (attribute) {
    case MEMORY_TYPE:
        *(uint32_t *)value = TYPE_DEVICE;
        return SUCCESS;
    case IS_MANAGED:
        *(bool *)value = mapping.managed;
        return SUCCESS;
    case DEVICE_ORDINAL:
        *(int *)value = mapping.device;
        return SUCCESS;
    default:
        return INVALID_VALUE;
    }
}

__attribute__((visibility("default"))) int
cuMemGetHandleForAddressRange(void *handle, unsigned long long pointer, size_t size, int type,
                              unsigned long long flags)
{
    struct mapping mapping;
    if (type != DMABUF || flags != 0 || pointer % 4096 != 0 || size % 4096 != 0 ||
        !find(pointer, &mapping) || size > mapping.end - pointer) {
        return INVALID_VALUE;
    }
    int fd = open(mapping.path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return NOT_SUPPORTED;
    }
    *(int *)handle = fd;
    return SUCCESS;
}
