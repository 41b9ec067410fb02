/*
 * What NVIDIA's driver says of an address. The driver's library is never loaded from here: where
 * this process has not loaded it, no address can be a GPU's. Declarations of it are not needed to
 * build this; the numbers are those of cuda.h (CUDA Driver API, "Unified Addressing").
 *
 * All functions may be called from any thread.
 */
#ifndef P2P_CUDA_H
#define P2P_CUDA_H

#include <stdint.h>

/* 1 if this process may come to have memory of a GPU: the driver is loaded, or is in the kernel. */
int64_t p2p_cuda_is_possible(void);

/*
 * Whose memory a range is, by its first and its last byte.
 *
 * Returns 0 for memory of the host, which includes what CUDA has pinned there; n + 1 for memory of
 * the GPU n; -EINVAL if address or length is not positive, or the two ends are not of the same
 * kind; -EOPNOTSUPP for managed memory, which moves; -EIO if the driver fails.
 */
int64_t p2p_cuda_owner(int64_t address, int64_t length);

/*
 * Makes a dma-buf of memory of a GPU. It begins with the page (of the host's size) that holds
 * address, and ends with the one that holds the last byte.
 *
 * Returns a file descriptor, which the caller closes; -EINVAL if address or length is not positive;
 * -ENOSYS if the driver is too old or not loaded; -EIO if it refuses.
 */
int64_t p2p_cuda_dmabuf(int64_t address, int64_t length);

/* Closes it. Returns 0 or -errno. */
int64_t p2p_cuda_close_dmabuf(int32_t fd);

#endif
