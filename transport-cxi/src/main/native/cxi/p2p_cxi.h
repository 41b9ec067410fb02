/*
 * One-sided operations through libfabric (fi_rma(3), fi_mr(3), fi_cq(3)): an endpoint with all that
 * it stands on, registered memory, operations and their completions.
 *
 * libfabric is opened at run time and never linked. What the caller gets is what the returned
 * fi_info says: nothing is taken for granted of a provider.
 *
 * Threads: calls on one endpoint come from one thread at a time, except p2p_cxi_close_memory, which
 * any thread may call if the threading model is FI_THREAD_SAFE.
 *
 * Results: 0 or more, or -errno, which is libfabric's where libfabric refused. A function that is
 * given a report fills it when it fails.
 */
#ifndef P2P_CXI_H
#define P2P_CXI_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Why a call failed.
 *
 *  offset size
 *       0    4  errno, positive; libfabric's own begin at 256
 *       4    4  the provider's own errno, 0 if there is none
 *       8   56  the call that failed, such as fi_domain
 *      64  192  text of the provider or of the loader
 *
 * Texts end with a NUL.
 */
struct p2p_cxi_report {
    int32_t error;
    int32_t provider_error;
    char call[56];
    char text[192];
};

/*
 * What an endpoint is opened with. Texts end with a NUL.
 *
 *  offset size
 *       0  512  library: path or name for dlopen(3)
 *     512   64  provider
 *     576   64  domain; empty: any
 *     640   64  numeric address to be reached at; empty: the provider's choice
 *     704    4  threading: 0 unspec, 1 safe, 2 fid, 3 domain, 4 completion, 5 endpoint
 *     708    4  depth of the transmit queue that is wished for
 *     712    4  depth of the receive queue that is wished for
 *     716    4  depth of the completion queue
 *     720    4  1: GPU memory too, if the provider can
 *     724    4  0
 */
struct p2p_cxi_opening {
    char library[512];
    char provider[64];
    char domain[64];
    char source[64];
    int32_t threading;
    int32_t transmit_depth;
    int32_t receive_depth;
    int32_t completion_depth;
    int32_t gpu_memory;
    int32_t unused;
};

/*
 * What an endpoint turned out to be.
 *
 *  offset size
 *       0    4  version of the library: major << 16 | minor
 *       4    4  mr_mode of the domain
 *       8    8  bytes of a key
 *      16    8  longest operation
 *      24    4  operations that can be outstanding
 *      28    4  P2P_CXI_WAITS and the others below
 *      32    4  0
 *      36    4  bytes of the address
 *      40  256  address, as fi_getname(3) gives it
 */
struct p2p_cxi_found {
    int32_t version;
    int32_t mr_mode;
    int64_t key_size;
    int64_t longest;
    int32_t operations;
    int32_t bits;
    int32_t unused;
    int32_t address_length;
    uint8_t address[256];
};

/* The completion queue has a descriptor to wait for. */
#define P2P_CXI_WAITS 1
/* The provider takes GPU memory. */
#define P2P_CXI_GPU_MEMORY 2
/* The cxi provider uses the descriptors of registrations for local buffers. */
#define P2P_CXI_HYBRID_DESCRIPTORS 4
/* Closing a registration of the cxi provider waits for remote operations under way. */
#define P2P_CXI_MATCH_EVENTS 8
/* Every registration of the cxi provider has a key that dies with it. */
#define P2P_CXI_KEYS_OF_THEIR_OWN 16

/* Kind of memory for p2p_cxi_register. */
#define P2P_CXI_HOST_MEMORY 0
#define P2P_CXI_CUDA_MEMORY 1

/* What peers may do, for p2p_cxi_register. */
#define P2P_CXI_REMOTE_READ 1
#define P2P_CXI_REMOTE_WRITE 2

/*
 * A completion: the id of the operation, the channel it was posted for, and 0 or the error.
 *
 *  offset size
 *       0    8  id
 *       8    4  channel
 *      12    4  errno, positive; 0: done
 */
struct p2p_cxi_completion {
    int64_t id;
    int32_t channel;
    int32_t error;
};

/*
 * Opens the library and tells what it has of a provider: at most count domains, 64 bytes each, the
 * name ending with a NUL, each once. Of "opening" the texts, the threading and the GPU memory are
 * read, and of "found" the version is set, and P2P_CXI_GPU_MEMORY if all take it.
 *
 * Returns how many there are, which may be more than count.
 */
int64_t p2p_cxi_domains(const struct p2p_cxi_opening *opening, struct p2p_cxi_found *found,
                        char *names, int64_t count, struct p2p_cxi_report *report);

/* Opens an endpoint, enabled and ready for operations. Returns its handle, positive. */
int64_t p2p_cxi_open(const struct p2p_cxi_opening *opening, struct p2p_cxi_found *found,
                     struct p2p_cxi_report *report);

/* Registrations of one endpoint; cxi has half as many. */
#define P2P_CXI_MEMORIES 131072

/*
 * Tells the operations that are outstanding, as completions that failed with ECANCELED, at most
 * count. For an endpoint that works no more, before its close: the network may still touch their
 * memory until then. Returns how many.
 */
int64_t p2p_cxi_outstanding(int64_t endpoint, int64_t completions, int64_t count);

/*
 * Closes an endpoint and what it stands on, and frees the handle. Registrations are closed before.
 * The cxi provider may take seconds. After -FI_EBUSY and the like what is left is still open: the
 * call may be repeated.
 */
int64_t p2p_cxi_close(int64_t endpoint, struct p2p_cxi_report *report);

/*
 * Registers memory, binds it to the endpoint and enables it where the provider asks for that.
 *
 * index: a free place from 0 to P2P_CXI_MEMORIES - 1, by which operations and the close name it.
 * access: P2P_CXI_REMOTE_READ and P2P_CXI_REMOTE_WRITE. key: the key to ask for where the provider
 * does not choose. device: the GPU's number. dmabuf: of the GPU's memory, beginning with the page of
 * the host's size that holds address; -1: the provider finds the memory by its address. The
 * registration's key is written to "chosen".
 *
 * Returns 0. -FI_ENOKEY: the key is taken. -EBUSY: the place is. -EOPNOTSUPP and -ENOSYS: the
 * provider takes no memory of this kind, or not this way.
 */
int64_t p2p_cxi_register(int64_t endpoint, int64_t index, int64_t address, int64_t length,
                         int32_t access, int64_t key, int32_t kind, int32_t device,
                         int32_t dmabuf, int64_t *chosen, struct p2p_cxi_report *report);

/*
 * Closes a registration; its place is free then. While operations of this process use it:
 * -EINPROGRESS, and nothing is done, unless "in_use_too"; then the endpoint must be closed next, and
 * neither be polled nor posted to. -ENOENT: there is none. Any other failure is libfabric's, which
 * keeps it: the call may be repeated.
 */
int64_t p2p_cxi_close_memory(int64_t endpoint, int64_t index, bool in_use_too,
                             struct p2p_cxi_report *report);

/* Tells an address of a peer to the endpoint. Returns its number for p2p_cxi_post. */
int64_t p2p_cxi_add_peer(int64_t endpoint, const uint8_t *address, int64_t length,
                         struct p2p_cxi_report *report);

/* Forgets a peer. Nothing may be outstanding to it. */
int64_t p2p_cxi_remove_peer(int64_t endpoint, int64_t peer, struct p2p_cxi_report *report);

/*
 * Posts operations from slots of 128 bytes, as io.uccl.p2p.spi.OpBuffer draws them. Their local key is
 * the place of the registration. The words 4 to 6 of a descriptor are base, key and length of the
 * target's registration.
 *
 * Returns how many were taken, from the first on. Fewer than count, also 0: there is no room now.
 * -errno: the first one cannot be posted, ever; "report" says why.
 */
int64_t p2p_cxi_post(int64_t endpoint, int64_t peer, int32_t channel, int64_t slots, int64_t count,
                     struct p2p_cxi_report *report);

/*
 * Makes progress and reads at most count completions.
 *
 * Returns how many. One that has failed comes alone; "report" says why. -errno: the completion queue
 * itself failed, and with it the endpoint; what was read before it was returned first.
 */
int64_t p2p_cxi_poll(int64_t endpoint, int64_t completions, int64_t count,
                     struct p2p_cxi_report *report);

/*
 * Blocks until there may be something to poll, the wake-up (eventfd(2)) was given, or the time is
 * over; also when a signal comes. Takes the wake-up. The endpoint may be 0, and the wake-up -1: then
 * it is not waited for.
 */
int64_t p2p_cxi_wait(int64_t endpoint, int32_t wakeup, int64_t nanos);

#endif
