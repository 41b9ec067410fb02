/*
 * One-sided operations over RDMA verbs (ibv_post_send(3), ibv_reg_mr(3), ibv_poll_cq(3)): opened
 * devices, called NICs here, connections of several reliable connected queue pairs on them,
 * registered memory, operations and their completions.
 *
 * libibverbs is opened at run time and never linked.
 *
 * Threads: calls on all NICs and on their connections come from one thread at a time, except
 * p2p_verbs_close_memory, which any thread may call, and p2p_verbs_connect and p2p_verbs_destroy,
 * which any one may for a connection that no other uses meanwhile.
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
 *      20    4  work requests that can be outstanding, on all queue pairs together
 *      24    4  reads that a queue pair may have started
 *      28    4  reads that a queue pair may serve
 *      32    4  path MTU of the port, as verbs number it: 1 is 256 bytes, 5 is 4096
 *      36    4  LID of the port; 0 on Ethernet
 *      40    4  1: InfiniBand, 2: Ethernet
 *      44    4  1: the port is active
 *      48   16  its address at the index, or zeros
 *      64    4  1: its peers are reached by address alone, also on InfiniBand
 *      68    4  0
 */
struct p2p_verbs_found {
    int64_t longest;
    int64_t longest_memory;
    int32_t send_depth;
    int32_t requests;
    int32_t reads_started;
    int32_t reads_served;
    int32_t mtu;
    int32_t lid;
    int32_t link_layer;
    int32_t active;
    uint8_t gid[16];
    int32_t by_gid;
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
 *      56    4  which of the peer's NICs it belongs to, from 0 on
 *      60    4  0
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
    int32_t their_nic;
    int32_t unused;
};

/* What peers may do, for p2p_verbs_register. */
#define P2P_VERBS_REMOTE_READ 1
#define P2P_VERBS_REMOTE_WRITE 2

/*
 * What became of an operation or of a connection.
 *
 *  offset size
 *       0    8  id of the operation
 *       8    4  tag of the connection
 *      12    4  status, as verbs number it (ibv_poll_cq(3)); 0: done. Of an operation that was
 *               flushed it is the status that broke the connection, where one did
 *      16    4  the vendor's error of that status
 *      20    4  0: the operation ended; 1: the connection broke, before its operations are told
 */
struct p2p_verbs_completion {
    int64_t id;
    int32_t tag;
    int32_t status;
    int32_t vendor;
    int32_t kind;
};

#define P2P_VERBS_OPERATION 0
#define P2P_VERBS_BROKEN 1

/* A status of this library's: the device did not take a work request; the vendor's error is its errno. */
#define P2P_VERBS_NOT_POSTED 1000

/*
 * Something that happened to a NIC or to one of its queue pairs.
 *
 *  offset size
 *       0    4  type, as verbs number it (ibv_get_async_event(3))
 *       4    4  tag of the queue pair's connection, or -1: it is about the device or its port
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
 * Asks the port again for what may change while it is open: path MTU, LID, address, whether it is
 * active. Returns 0. The device's refusal: the port has no address at the index any more.
 */
int64_t p2p_verbs_refresh(int64_t nic, struct p2p_verbs_found *found,
                          struct p2p_verbs_report *report);

/*
 * Closes a NIC and frees the handle. Its connections are destroyed and its registrations closed
 * before: else -EBUSY, and nothing is done. After another failure what is left is still open: the
 * call may be repeated.
 */
int64_t p2p_verbs_close(int64_t nic, struct p2p_verbs_report *report);

/* Registrations of one NIC. */
#define P2P_VERBS_MEMORIES 131072

/* Pieces of a registration, and NICs of a process. */
#define P2P_VERBS_PIECES 4
#define P2P_VERBS_NICS 4

/*
 * Registers memory, open to what "access" says and to no more; this process may always write to it.
 *
 * index: a free place from 0 to P2P_VERBS_MEMORIES - 1, by which operations and the close name it.
 * shift: it is registered in pieces that end where the address is a multiple of 1 << shift; there
 * may be P2P_VERBS_PIECES; 63: in one piece. dmabuf: of a GPU's memory, beginning with the page of
 * the host's size that holds address; -1: the kernel finds the memory by its address. The keys for
 * peers are written to "keys", that of the piece with address A at (A >> shift) modulo
 * P2P_VERBS_PIECES, others are 0.
 *
 * Returns 0. -EBUSY: the place is taken. -ENOSYS: the library registers no dma-bufs. -EFBIG: there
 * would be more pieces, or the device registers none of this length.
 */
int64_t p2p_verbs_register(int64_t nic, int64_t index, int64_t address, int64_t length,
                           int32_t shift, int32_t access, int32_t dmabuf, uint32_t *keys,
                           struct p2p_verbs_report *report);

/*
 * Closes a registration; its place is free then, and no access of a peer gets through any more.
 * While operations of this process use it: -EAGAIN, and nothing is done. -ENOENT: there is none.
 */
int64_t p2p_verbs_close_memory(int64_t nic, int64_t index, struct p2p_verbs_report *report);

/* The limit of locked memory of this process, in bytes; INT64_MAX: there is none. */
int64_t p2p_verbs_locked_memory_limit(void);

/* Queue pairs of one connection, and the fewest work requests that each has room for. */
#define P2P_VERBS_PAIRS 16
#define P2P_VERBS_LEAST_DEPTH 32

/*
 * What a connection is made of.
 *
 *  offset size
 *       0    4  NICs, 1 to P2P_VERBS_NICS
 *       4    4  queue pairs, 1 to P2P_VERBS_PAIRS; i is one of NIC i modulo their number
 *       8    4  work requests that can be outstanding on each queue pair; P2P_VERBS_LEAST_DEPTH and
 *               more
 *      12    4  operations that can be outstanding
 *      16    4  tag, 0 and more: completions and events carry it
 *      20    4  1: writes are flushed, see p2p_verbs_post
 *      24    8  address of a word that is counted up with each work request that ended
 *      32   32  handles of the NICs
 *      64   64  the queue pairs' numbers, which the call writes
 */
struct p2p_verbs_making {
    int32_t nics;
    int32_t pairs;
    int32_t depth;
    int32_t operations;
    int32_t tag;
    int32_t flush;
    int64_t progress;
    int64_t handles[P2P_VERBS_NICS];
    int32_t numbers[P2P_VERBS_PAIRS];
};

/*
 * Makes a connection, whose queue pairs receive nothing yet. Returns its handle, positive. Its NICs
 * outlive it.
 */
int64_t p2p_verbs_create(struct p2p_verbs_making *making, struct p2p_verbs_report *report);

/*
 * Destroys all of its queue pairs but the first "count". Before it is connected, so that nothing in
 * the network refers to them.
 */
int64_t p2p_verbs_reduce(int64_t connection, int32_t count, struct p2p_verbs_report *report);

/*
 * Connects its queue pairs to the peer's, one path each. Afterwards they serve the peer, and
 * operations can be posted. The kernel may look for the peer's address for a second, so another
 * thread than the one that uses the NICs may call this; nobody uses the connection meanwhile.
 */
int64_t p2p_verbs_connect(int64_t connection, const struct p2p_verbs_path *paths, int32_t count,
                          struct p2p_verbs_report *report);

/*
 * Breaks it: it serves the peer no more, and what is outstanding comes back as flushed. In whatever
 * state it is. A failure is the first queue pair's; the others are broken nevertheless.
 */
int64_t p2p_verbs_break(int64_t connection, struct p2p_verbs_report *report);

/*
 * Takes it from its NICs, which tell nothing of it any more; all that may follow is
 * p2p_verbs_destroy. While work requests are outstanding, as some may be a little longer than the
 * last operation: -EAGAIN, and nothing is done, unless "outstanding_too"; then its NICs must not be
 * polled any more. Again is no harm.
 */
int64_t p2p_verbs_detach(int64_t connection, bool outstanding_too, struct p2p_verbs_report *report);

/*
 * Destroys one that is detached, and frees the handle. The kernel may take its time: a queue pair of
 * soft RoCE waits until the NIC has given back its packets, which one whose cable is out does not.
 * So another thread than the one that uses the NICs may call this. After a failure of the device the
 * call may be repeated.
 */
int64_t p2p_verbs_destroy(int64_t connection, struct p2p_verbs_report *report);

/*
 * Posts operations from slots of 128 bytes, as io.uccl.p2p.spi.OpBuffer draws them. Their local key
 * is the place of the registration, on each NIC. The target's own part of the descriptor:
 *
 *  offset size
 *      32   16  four keys of 4 bytes: of n NICs, that of the NIC i and of the piece with address A
 *               is at i + n * ((A >> shift) modulo (4 / n))
 *      48    1  n, 1 to 4
 *      49    1  shift of the target's registration
 *      50    1  1: GPU memory; 2: open to reads
 *
 * Operations are spread: a queue pair's turn ends after 512 KiB or 16 of them, and longer ones are
 * cut, into 16 pieces and a few more at the ends of registrations' pieces. A piece is signalled
 * when it is the last of the call on its queue pair, or 512 KiB or 16 pieces came before it.
 *
 * Where writes are flushed, and to GPU memory, a read of one byte goes behind those of a queue pair,
 * and they end with it; the target is open to reads then. Writes to different regions, one of them
 * of a GPU, have a read each.
 *
 * Returns how many were taken, from the first on. Fewer than count, also 0: there is no room now.
 * -EINVAL: the first one is no operation, or its target has more pieces than keys. What the device
 * does not take breaks the connection, and is told by its completion, as P2P_VERBS_NOT_POSTED.
 */
int64_t p2p_verbs_post(int64_t connection, int64_t slots, int64_t count,
                       struct p2p_verbs_report *report);

/*
 * Reads at most count completions. Returns how many. -errno: the completion queue itself failed, and
 * with it the NIC; what was read before it was returned first.
 */
int64_t p2p_verbs_poll(int64_t nic, int64_t completions, int64_t count,
                       struct p2p_verbs_report *report);

/*
 * Tells the operations that are outstanding on a connection, as flushed completions, at most count.
 * Returns how many.
 */
int64_t p2p_verbs_outstanding(int64_t connection, int64_t completions, int64_t count);

/*
 * Reads at most count events, those of other ports left out. Returns how many. -errno: they cannot
 * be read.
 */
int64_t p2p_verbs_events(int64_t nic, int64_t events, int64_t count,
                         struct p2p_verbs_report *report);

/*
 * Blocks until there may be something to poll on one of the NICs, or an event to be read, or the
 * wake-up (eventfd(2)) was given, or the time is over; also when a signal comes. Takes the wake-up.
 * -1 in place of the wake-up: it is not waited for. nics: the address of count handles,
 * P2P_VERBS_NICS at most.
 *
 * Returns 1 if a NIC has an event to be read, else 0.
 */
int64_t p2p_verbs_wait(int64_t nics, int64_t count, int32_t wakeup, int64_t nanos);

#endif
