/*
 * Drives the core. Its argument is the driver library to load: NVIDIA's, or its stand-in, or none.
 * Prints the first check that does not hold and exits with 1, else exits with 0.
 */
#define _GNU_SOURCE

#include "p2p_check.h"
#include "p2p_cuda.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES INT64_C(0x400000)

static int64_t host[1024];

static void every_input_has_an_answer(void)
{
    const int64_t bad[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK(p2p_cuda_owner(bad[i], 1) == -EINVAL);
        CHECK(p2p_cuda_owner((intptr_t)host, bad[i]) == -EINVAL);
        CHECK(p2p_cuda_dmabuf(bad[i], 1) == -EINVAL);
        CHECK(p2p_cuda_dmabuf((intptr_t)host, bad[i]) == -EINVAL);
    }
    CHECK(p2p_cuda_owner((intptr_t)host, INT64_MAX) == -EINVAL);
    CHECK(p2p_cuda_dmabuf((intptr_t)host, INT64_MAX) == -EINVAL);
    CHECK(p2p_cuda_close_dmabuf(-1) == -EBADF);
}

static void host_memory_is_the_hosts(void)
{
    CHECK(p2p_cuda_owner((intptr_t)host, sizeof host) == 0);
    CHECK(p2p_cuda_owner(1, 1) == 0);
}

static int64_t mapped(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/p2p-%d-%s", (int)getpid(), name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && ftruncate(fd, BYTES) == 0);
    void *address = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(address != MAP_FAILED);
    close(fd);
    return (intptr_t)address;
}

static void unmap(int64_t address, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/p2p-%d-%s", (int)getpid(), name);
    CHECK(munmap((void *)(intptr_t)address, BYTES) == 0);
    CHECK(unlink(path) == 0);
}

static void a_gpu_owns(int64_t address, int64_t owner)
{
    CHECK(p2p_cuda_owner(address, 1) == owner);
    CHECK(p2p_cuda_owner(address + 5, BYTES - 5) == owner);
    /* The end is not the GPU's. */
    CHECK(p2p_cuda_owner(address, BYTES + (INT64_C(1) << 46)) < 0);
}

static void the_stand_in_is_asked(void)
{
    int64_t gpu = mapped("simulated-gpu-3");
    a_gpu_owns(gpu, 4);
    int64_t fd = p2p_cuda_dmabuf(gpu + 5000, 10);
    CHECK(fd >= 0 && lseek((int)fd, 0, SEEK_END) == BYTES);
    CHECK(p2p_cuda_close_dmabuf((int32_t)fd) == 0);
    CHECK(p2p_cuda_dmabuf((intptr_t)host, 1) == -EIO);
    unmap(gpu, "simulated-gpu-3");
    int64_t managed = mapped("simulated-managed-0");
    CHECK(p2p_cuda_owner(managed, BYTES) == -EOPNOTSUPP);
    unmap(managed, "simulated-managed-0");
}

static void *of(void *driver, const char *name)
{
    void *address = dlsym(driver, name);
    CHECK(address != NULL);
    return address;
}

/* On a machine with a GPU: first before anything of CUDA has begun, then with memory of each kind. */
static void the_driver_is_asked(void *driver)
{
    int (*init)(unsigned);
    int (*retain)(void **, int);
    int (*use)(void *);
    int (*allocate)(unsigned long long *, size_t);
    int (*allocate_managed)(unsigned long long *, size_t, unsigned);
    int (*allocate_host)(void **, size_t);
    *(void **)&init = of(driver, "cuInit");
    *(void **)&retain = of(driver, "cuDevicePrimaryCtxRetain");
    *(void **)&use = of(driver, "cuCtxSetCurrent");
    *(void **)&allocate = of(driver, "cuMemAlloc_v2");
    *(void **)&allocate_managed = of(driver, "cuMemAllocManaged");
    *(void **)&allocate_host = of(driver, "cuMemAllocHost_v2");
    if (init(0) != 0) {
        puts("libcuda is here, a GPU is not: checked without one");
        return;
    }
    host_memory_is_the_hosts();
    void *context = NULL;
    CHECK(retain(&context, 0) == 0 && use(context) == 0);
    host_memory_is_the_hosts();
    unsigned long long gpu = 0;
    CHECK(allocate(&gpu, BYTES) == 0);
    unsigned long long managed = 0;
    CHECK(allocate_managed(&managed, BYTES, 1) == 0);
    void *pinned = NULL;
    CHECK(allocate_host(&pinned, BYTES) == 0);
    /* Registering is done by threads that have no context of CUDA. */
    CHECK(use(NULL) == 0);
    a_gpu_owns((int64_t)gpu, 1);
    CHECK(p2p_cuda_owner((int64_t)managed, BYTES) == -EOPNOTSUPP);
    CHECK(p2p_cuda_owner((intptr_t)pinned, BYTES) == 0);
    host_memory_is_the_hosts();
    int64_t fd = p2p_cuda_dmabuf((int64_t)gpu + 5000, 10);
    printf("checked with a GPU; its dma-buf: %s\n", fd >= 0 ? "made" : "refused by the driver");
    CHECK(fd >= 0 || fd == -EIO || fd == -ENOSYS);
    CHECK(fd < 0 || p2p_cuda_close_dmabuf((int32_t)fd) == 0);
    CHECK(p2p_cuda_dmabuf((intptr_t)host, 1) < 0);
}

int main(int argc, char **argv)
{
    every_input_has_an_answer();
    CHECK(p2p_cuda_owner((intptr_t)host, sizeof host) == 0);
    CHECK(p2p_cuda_dmabuf((intptr_t)host, 1) == -ENOSYS);
    void *driver = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (argc > 1) {
        CHECK(driver != NULL);
        CHECK(p2p_cuda_is_possible() == 1);
        every_input_has_an_answer();
        host_memory_is_the_hosts();
        if (dlsym(driver, "cuInit") == NULL) {
            the_stand_in_is_asked();
        } else {
            the_driver_is_asked(driver);
        }
    }
    return 0;
}
