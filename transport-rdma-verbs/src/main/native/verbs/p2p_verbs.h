/*
 * One-sided operations over RDMA verbs (ibv_post_send(3), ibv_reg_mr(3), ibv_poll_cq(3)): opened
 * devices, called NICs here, reliable connected queue pairs, registered memory, operations and
 * their completions.
 *
 * libibverbs is opened at run time and never linked.
 *
 * Threads: calls on one NIC and on its queue pairs come from one thread at a time, except
 * p2p_verbs_close_memory, which any thread may call, and the functions on wake-ups.
 *
 * Results: 0 or more, or -errno. A function that is given a report fills it when it fails.
 */
#ifndef P2P_VERBS_H
#define P2P_VERBS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Why a call failed.
 *
 *  offset size
 *       0    4  errno, positive
 *       4    4  0
 *       8   56  the call that failed, such as ibv_open_device
 *      64  192  text of the loader, or what is wrong
 *
 * Texts end with a NUL.
 */
struct p2p_verbs_report {
    int32_t error;
    int32_t unused;
    char call[56];
    char text[192];
};

/*
 * What a NIC is opened with. Texts end with a NUL.
 *
 *  offset size
 *       0  512  library: path or name for dlopen(3)
 *     512   64  name of the device
 *     576    4  number of its port, from 1 on
 *     580    4  index of the port's address (GID); -1: none is wanted
 *     584    4  depth of the completion queue that is wished for
 *     588    4  0
 */
struct p2p_verbs_opening {
    char library[512];
    char device[64];
    int32_t port;
    int32_t gid_index;
    int32_t completion_depth;
    int32_t unused;
};

/*
 * What a NIC turned out to be.
 *
 *  offset size
 *       0    8  longest message of the port
 *       8    8  longest registration
 *      16    4  longest send queue
 *      20    4  operations that can be outstanding
 *      24    4  reads that a queue pair may have started
 *      28    4  reads that a queue pair may serve
 *      32    4  path MTU of the port, as verbs number it: 1 is 256 bytes, 5 is 4096
 *      36    4  LID of the port; 0 on Ethernet
 *      40    4  1: InfiniBand, 2: Ethernet
 *      44    4  1: the port is active
 *      48   16  its address at the index, or zeros
 *      64    4  1: the library registers dma-bufs
 *      68    4  0
 */
struct p2p_verbs_found {
    int64_t longest;
    int64_t longest_memory;
    int32_t send_depth;
    int32_t operations;
    int32_t reads_started;
    int32_t reads_served;
    int32_t mtu;
    int32_t lid;
    int32_t link_layer;
    int32_t active;
    uint8_t gid[16];
    int32_t dmabuf;
    int32_t unused;
};

/* Link layers. */
#define P2P_VERBS_INFINIBAND 1
#define P2P_VERBS_ETHERNET 2

/*
 * How a queue pair reaches the one of the peer.
 *
 *  offset size
 *       0   16  address (GID) of the peer's port
 *      16    4  LID of the peer's port
 *      20    4  number of the peer's queue pair
 *      24    4  first packet number of the peer
 *      28    4  first packet number of this side
 *      32    4  path MTU, as verbs number it
 *      36    4  service level
 *      40    4  traffic class
 *      44    4  reads that this side may start
 *      48    4  reads that this side serves
 *      52    4  1: by the address, as on Ethernet; 0: by the LID
 */
struct p2p_verbs_path {
    uint8_t gid[16];
    int32_t lid;
    int32_t queue_pair;
    int32_t their_psn;
    int32_t own_psn;
    int32_t mtu;
    int32_t service_level;
    int32_t traffic_class;
    int32_t reads_started;
    int32_t reads_served;
    int32_t by_gid;
};

/* What peers may do, for p2p_verbs_register. */
#define P2P_VERBS_REMOTE_READ 1
#define P2P_VERBS_REMOTE_WRITE 2

/*
 * A completion.
 *
 *  offset size
 *       0    8  id of the operation
 *       8    4  tag of its queue pair
 *      12    4  status, as verbs number it (ibv_poll_cq(3)); 0: done. Of an operation that was
 *               flushed it is the status of the operation that broke the queue pair, where one did
 *      16    4  the vendor's error of that status
 *      20    4  1: it was flushed
 */
struct p2p_verbs_completion {
    int64_t id;
    int32_t tag;
    int32_t status;
    int32_t vendor;
    int32_t flushed;
};

/*
 * Something that happened to a NIC or to one of its queue pairs.
 *
 *  offset size
 *       0    4  type, as verbs number it (ibv_get_async_event(3))
 *       4    4  tag of the queue pair, or -1: it is about the device or its port
 */
struct p2p_verbs_event {
    int32_t type;
    int32_t tag;
};

/*
 * Opens the library and tells the devices that it has drivers for: at most count names, 64 bytes
 * each, ending with a NUL. Returns how many there are, which may be more than count.
 */
int64_t p2p_verbs_devices(const char *library, char *names, int64_t count,
                          struct p2p_verbs_report *report);

/* Opens a device: a NIC. Returns its handle, positive. -ENODEV: the library has no such device. */
int64_t p2p_verbs_open(const struct p2p_verbs_opening *opening, struct p2p_verbs_found *found,
                       struct p2p_verbs_report *report);

/*
 * Closes a NIC and frees the handle. Its queue pairs are destroyed and its registrations closed
 * before: else -EBUSY, and nothing is done. After another failure what is left is still open: the
 * call may be repeated.
 */
int64_t p2p_verbs_close(int64_t nic, struct p2p_verbs_report *report);

/* Registrations of one NIC. */
#define P2P_VERBS_MEMORIES 131072

/*
 * Registers memory, open to what "access" says and to no more; this process may always write to it.
 *
 * index: a free place from 0 to P2P_VERBS_MEMORIES - 1, by which operations and the close name it.
 * dmabuf: of a GPU's memory, beginning with the page of the host's size that holds address; -1: the
 * kernel finds the memory by its address. The key for peers is written to "key".
 *
 * Returns 0. -EBUSY: the place is taken. -ENOSYS: the library registers no dma-bufs. -EFBIG: the
 * device registers no memory of this length.
 */
int64_t p2p_verbs_register(int64_t nic, int64_t index, int64_t address, int64_t length,
                           int32_t access, int32_t dmabuf, int64_t *key,
                           struct p2p_verbs_report *report);

/*
 * Closes a registration; its place is free then, and no access of a peer gets through any more.
 * While operations of this process use it: -EBUSY, and nothing is done. -ENOENT: there is none.
 */
int64_t p2p_verbs_close_memory(int64_t nic, int64_t index, struct p2p_verbs_report *report);

/* The limit of locked memory of this process, in bytes; INT64_MAX: there is none. */
int64_t p2p_verbs_locked_memory_limit(void);

/*
 * Makes a queue pair, which receives nothing yet. Completions and events carry its tag, 0 and more.
 * depth: operations that can be outstanding on it. Its number is written to "number". Returns its
 * handle, positive.
 */
int64_t p2p_verbs_create_queue_pair(int64_t nic, int32_t depth, int32_t tag, int64_t *number,
                                    struct p2p_verbs_report *report);

/* Connects it to the peer's: afterwards it serves the peer, and operations can be posted. */
int64_t p2p_verbs_connect(int64_t queue_pair, const struct p2p_verbs_path *path,
                          struct p2p_verbs_report *report);

/*
 * Breaks it: it serves the peer no more, and what is outstanding comes back as flushed. In whatever
 * state it is.
 */
int64_t p2p_verbs_break(int64_t queue_pair, struct p2p_verbs_report *report);

/*
 * Destroys it and frees the handle. While operations are outstanding: -EBUSY, and nothing is done,
 * unless "outstanding_too"; then the NIC must not be polled any more.
 */
int64_t p2p_verbs_destroy_queue_pair(int64_t queue_pair, bool outstanding_too,
                                     struct p2p_verbs_report *report);

/*
 * Posts operations from slots of 128 bytes, as io.uccl.p2p.spi.OpBuffer draws them. Their local key
 * is the place of the registration; the descriptor's rkey is the key of the target's registration.
 *
 * Returns how many were taken, from the first on. Fewer than count, also 0: there is no room now,
 * or the next one is refused, which the next call will tell. -errno: the first one cannot be posted,
 * ever; "report" says why.
 */
int64_t p2p_verbs_post(int64_t queue_pair, int64_t slots, int64_t count,
                       struct p2p_verbs_report *report);

/*
 * Reads at most count completions. Returns how many. -errno: the completion queue itself failed, and
 * with it the NIC; what was read before it was returned first.
 */
int64_t p2p_verbs_poll(int64_t nic, int64_t completions, int64_t count,
                       struct p2p_verbs_report *report);

/*
 * Tells the operations that are outstanding on a NIC, as flushed completions, at most count. Returns
 * how many.
 */
int64_t p2p_verbs_outstanding(int64_t nic, int64_t completions, int64_t count);

/*
 * Reads at most count events, those of other ports left out. Returns how many. -errno: they cannot
 * be read.
 */
int64_t p2p_verbs_events(int64_t nic, int64_t events, int64_t count,
                         struct p2p_verbs_report *report);

/* The most NICs that can be waited for at a time. */
#define P2P_VERBS_NICS 8

/*
 * Blocks until there may be something to poll on one of the NICs, or an event to be read, or the
 * wake-up was given, or the time is over; also when a signal comes. Takes the wake-up. -1 in place
 * of the wake-up: it is not waited for. nics: the address of count handles.
 *
 * Returns 1 if a NIC has an event to be read, else 0.
 */
int64_t p2p_verbs_wait(int64_t nics, int64_t count, int32_t wakeup, int64_t nanos);

/* Makes a wake-up; returns its file descriptor. */
int64_t p2p_verbs_open_wakeup(void);

/* Gives it. Any thread. */
int64_t p2p_verbs_wake(int32_t wakeup);

/* Closes it. */
int64_t p2p_verbs_close_wakeup(int32_t wakeup);

#endif
