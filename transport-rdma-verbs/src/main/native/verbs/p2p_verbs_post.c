#define _GNU_SOURCE

#include "p2p_verbs_nic.h"

#include <errno.h>
#include <string.h>

/* A slot, as io.uccl.p2p.spi.OpBuffer draws it, and in it the descriptor of rdma. */
struct slot {
    int64_t id;
    int32_t opcode;
    int32_t unused;
    int64_t local_address;
    int64_t local_key;
    int64_t length;
    uint64_t remote_address;
    int64_t local_offset;
    int64_t unused_too;
    uint8_t range_and_names[32];
    uint32_t keys[4];
    uint8_t nics;
    uint8_t shift;
    uint8_t flags;
    uint8_t unused_at_last[13];
};

_Static_assert(sizeof(struct slot) == 128, "a slot of OpBuffer");
_Static_assert(offsetof(struct slot, keys) == 64 + 32, "a descriptor");
_Static_assert(offsetof(struct slot, nics) == 64 + 48, "a descriptor");

/* In it the region's own name: rid and idx. */
#define NAME_AT 20
#define NAME_BYTES 12

#define WRITE 1
#define READ 2

#define GPU 1

/* A shift from which on there is one piece: its end is no address. */
#define WHOLE 62

/* A queue pair's turn, and a run of requests that are not signalled. */
#define TURN_BYTES (INT64_C(512) << 10)
#define TURN_REQUESTS 16

/* Of an operation that no end of a piece cuts. */
#define MOST_CUTS 16
#define CUT_ALIGNMENT 4096

/* Work requests that are chained before the device gets them: those of some operations. */
#define CHAINED 192

/* Of one operation: the ends of pieces cut it three times on either side. */
#define MOST_OF_OPERATION (MOST_CUTS + 2 * (P2P_VERBS_PIECES - 1))

/* Chains of work requests, one for each queue pair. */
struct chains {
    struct ibv_send_wr requests[CHAINED];
    struct ibv_sge pieces[CHAINED];
    int length;
    struct ibv_send_wr *first[P2P_VERBS_PAIRS];
    struct ibv_send_wr *last[P2P_VERBS_PAIRS];
    /* The last byte of the last write that waits for a read behind it; key and address. */
    bool unproven[P2P_VERBS_PAIRS];
    uint64_t proof_address[P2P_VERBS_PAIRS];
    uint32_t proof_key[P2P_VERBS_PAIRS];
};

/* -- chaining */

static struct p2p_verbs_request *ring(struct p2p_verbs_queue_pair *pair, uint32_t n)
{
    return &pair->requests[n & pair->mask];
}

/* Takes a place of the ring and the room for a request; there is some. */
static struct ibv_send_wr *append(struct chains *chains, struct p2p_verbs_connection *connection,
                                  int32_t index)
{
    struct p2p_verbs_queue_pair *pair = &connection->pairs[index];
    struct ibv_send_wr *request = &chains->requests[chains->length];
    struct ibv_sge *piece = &chains->pieces[chains->length];
    chains->length++;
    memset(request, 0, sizeof(*request));
    request->wr_id = (uint64_t)pair->place << 32 | pair->next;
    request->sg_list = piece;
    request->num_sge = 1;
    memset(ring(pair, pair->next), 0, sizeof(struct p2p_verbs_request));
    pair->next++;
    pair->room--;
    pair->nic->room--;
    if (chains->first[index] == NULL) {
        chains->first[index] = request;
    } else {
        chains->last[index]->next = request;
    }
    chains->last[index] = request;
    return request;
}

static uint32_t key_of(const struct slot *slot, int32_t nic, uint64_t address)
{
    uint64_t pieces = P2P_VERBS_PIECES / slot->nics;
    return slot->keys[(uint64_t)nic + slot->nics * ((address >> slot->shift) % pieces)];
}

static void make_signalled(struct p2p_verbs_queue_pair *pair, struct ibv_send_wr *request)
{
    request->send_flags |= IBV_SEND_SIGNALED;
    pair->unsignalled = 0;
    pair->unsignalled_bytes = 0;
}

static void append_piece(struct chains *chains, struct p2p_verbs_connection *connection,
                         const struct slot *slot, struct p2p_verbs_operation *operation,
                         int64_t offset, int64_t length, bool flush)
{
    int32_t index = connection->turn;
    struct p2p_verbs_queue_pair *pair = &connection->pairs[index];
    struct p2p_verbs_memory *memory = p2p_verbs_memory_at(pair->nic, slot->local_key);
    struct p2p_verbs_request *entry = ring(pair, pair->next);
    struct ibv_send_wr *request = append(chains, connection, index);
    uint64_t local = (uint64_t)(slot->local_address + offset);
    uint64_t remote = slot->remote_address + (uint64_t)offset;
    struct ibv_mr *mr = p2p_verbs_piece_at(memory, local);
    request->sg_list->addr = local;
    request->sg_list->length = (uint32_t)length;
    /* The end of a registration has no piece; a request of no bytes needs none. */
    request->sg_list->lkey = mr == NULL ? 0 : mr->lkey;
    /* Some devices take a piece of no bytes for one of 2 GiB. */
    request->num_sge = length == 0 ? 0 : 1;
    request->opcode = slot->opcode == WRITE ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ;
    request->wr.rdma.remote_addr = remote;
    request->wr.rdma.rkey = key_of(slot, pair->their_nic, remote);
    entry->operation = operation;
    entry->memory = memory;
    entry->unproven = flush && length > 0;
    atomic_fetch_add_explicit(&memory->users, 1, memory_order_relaxed);
    operation->remaining++;

    pair->unsignalled++;
    pair->unsignalled_bytes += length;
    if (entry->unproven) {
        chains->unproven[index] = true;
        chains->proof_address[index] = remote + (uint64_t)length - 1;
        chains->proof_key[index] = key_of(slot, pair->their_nic, remote + (uint64_t)length - 1);
    } else if (pair->unsignalled >= TURN_REQUESTS || pair->unsignalled_bytes >= TURN_BYTES) {
        make_signalled(pair, request);
    }
}

/* -- whose turn it is */

static bool has_room(const struct p2p_verbs_queue_pair *pair)
{
    /* One more than a request, for the read that flushes. */
    return pair->room > 1 && pair->nic->room > 1;
}

static void next_turn(struct p2p_verbs_connection *connection)
{
    connection->turn = (connection->turn + 1) % connection->pair_count;
    connection->turn_requests = 0;
    connection->turn_bytes = 0;
}

/* Goes on to a queue pair that has room and whose turn is not over; there is one. */
static void find_turn(struct p2p_verbs_connection *connection)
{
    if (connection->turn_requests >= TURN_REQUESTS || connection->turn_bytes >= TURN_BYTES) {
        next_turn(connection);
    }
    while (!has_room(&connection->pairs[connection->turn])) {
        next_turn(connection);
    }
}

/* How many requests are sure to find room, a flush of each queue pair besides. */
static int64_t room_of(const struct p2p_verbs_connection *connection)
{
    int64_t room = 0;
    for (int32_t n = 0; n < connection->nic_count; n++) {
        int64_t of_nic = 0;
        int32_t pairs = 0;
        for (int32_t i = n; i < connection->pair_count; i += connection->nic_count) {
            of_nic += connection->pairs[i].room > 1 ? connection->pairs[i].room - 1 : 0;
            pairs++;
        }
        int64_t of_queue = connection->nics[n]->room - pairs;
        room += of_nic < of_queue ? of_nic : of_queue < 0 ? 0 : of_queue;
    }
    return room;
}

/* -- flushing */

static bool is_flushed(const struct p2p_verbs_connection *connection, const struct slot *slot)
{
    return slot->opcode == WRITE && (connection->flush || (slot->flags & GPU) != 0);
}

/*
 * Whether a read behind the writes of two operations pushes both before it. What goes to the host's
 * memory goes one way; what goes to GPUs may wait in a switch that the other's does not cross.
 */
static bool go_one_way(const struct slot *one, const struct slot *other)
{
    return ((one->flags | other->flags) & GPU) == 0 ||
           memcmp(one->range_and_names + NAME_AT, other->range_and_names + NAME_AT, NAME_BYTES) == 0;
}

/* -- operations */

static int64_t least(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* Of a long operation, the length of a piece. */
static int64_t cut_of(const struct slot *slot)
{
    int64_t even = (slot->length + MOST_CUTS - 1) / MOST_CUTS;
    int64_t aligned = (even + CUT_ALIGNMENT - 1) / CUT_ALIGNMENT * CUT_ALIGNMENT;
    return aligned < TURN_BYTES ? TURN_BYTES : aligned;
}

/*
 * Whether the descriptor has a key for each piece of the target. It comes from a peer: without this
 * it would say into how many requests an operation is cut.
 */
static bool has_keys(const struct slot *slot)
{
    if (slot->length == 0 || slot->shift >= WHOLE) {
        return true;
    }
    uint64_t last = slot->remote_address + (uint64_t)slot->length - 1;
    uint64_t pieces = (last >> slot->shift) - (slot->remote_address >> slot->shift) + 1;
    return last >= slot->remote_address && pieces <= (uint64_t)(P2P_VERBS_PIECES / slot->nics);
}

static bool is_slot(const struct p2p_verbs_connection *connection, const struct slot *slot)
{
    bool good = slot->length >= 0 && (slot->opcode == WRITE || slot->opcode == READ) &&
                slot->nics >= 1 && slot->nics <= P2P_VERBS_NICS && slot->shift <= 63 &&
                has_keys(slot);
    for (int32_t i = 0; good && i < connection->nic_count; i++) {
        good = p2p_verbs_memory_at(connection->nics[i], slot->local_key) != NULL;
    }
    for (int32_t i = 0; good && i < connection->pair_count; i++) {
        good = connection->pairs[i].their_nic < slot->nics;
    }
    for (int32_t i = 0; good && i < connection->nic_count; i++) {
        good = least(slot->length, cut_of(slot)) <= connection->nics[i]->longest;
    }
    return good;
}

/* Bytes from an address to the end of its piece. */
static int64_t to_end_of_piece(uint64_t address, int32_t shift)
{
    return shift >= WHOLE ? INT64_MAX : (int64_t)((((address >> shift) + 1) << shift) - address);
}

/* Returns false if there is no room for it now; then nothing was done. */
static bool chain(struct chains *chains, struct p2p_verbs_connection *connection,
                  const struct slot *slot)
{
    struct p2p_verbs_operation *operation = connection->free;
    int64_t cut = cut_of(slot);
    int64_t most = slot->length <= cut ? 1 : (slot->length + cut - 1) / cut;
    int32_t local_shift = p2p_verbs_memory_at(connection->nics[0], slot->local_key)->shift;
    if (local_shift < WHOLE || slot->shift < WHOLE) {
        most += 2 * (P2P_VERBS_PIECES - 1);
    }
    if (operation == NULL || room_of(connection) < most) {
        return false;
    }
    connection->free = operation->next;
    operation->id = slot->id;
    operation->status = 0;
    operation->vendor = 0;
    bool flush = is_flushed(connection, slot);
    int64_t offset = 0;
    do {
        int64_t length = least(cut, slot->length - offset);
        length = least(length, to_end_of_piece((uint64_t)(slot->local_address + offset),
                                               local_shift));
        length = least(length, to_end_of_piece(slot->remote_address + (uint64_t)offset,
                                               slot->shift));
        find_turn(connection);
        append_piece(chains, connection, slot, operation, offset, length, flush);
        connection->turn_requests++;
        connection->turn_bytes += length;
        offset += length;
    } while (offset < slot->length);
    return true;
}

/* -- giving them to the device */

/* A read behind the writes of a queue pair; it takes the place that has_room kept. */
static void append_proof(struct chains *chains, struct p2p_verbs_connection *connection,
                         int32_t index)
{
    struct p2p_verbs_nic *nic = connection->pairs[index].nic;
    struct ibv_send_wr *request = append(chains, connection, index);
    request->sg_list->addr = (uint64_t)(uintptr_t)&nic->scratch_bytes;
    request->sg_list->length = 1;
    request->sg_list->lkey = nic->scratch->lkey;
    request->opcode = IBV_WR_RDMA_READ;
    request->wr.rdma.remote_addr = chains->proof_address[index];
    request->wr.rdma.rkey = chains->proof_key[index];
    chains->unproven[index] = false;
}

/*
 * The device did not take a request, nor those behind it; credits were taken, so it is no full
 * queue. The queue pair is moved to error, and one request more brings back what lies in its ring.
 */
static void refused(struct p2p_verbs_queue_pair *pair, const struct ibv_send_wr *bad, int error)
{
    struct p2p_verbs_connection *connection = pair->connection;
    uint32_t first = (uint32_t)bad->wr_id;
    for (uint32_t n = first; n != pair->next; n++) {
        ring(pair, n)->refused = true;
    }
    struct p2p_verbs_operation *operation = ring(pair, first)->operation;
    if (operation != NULL && operation->status == 0) {
        operation->status = P2P_VERBS_NOT_POSTED;
        operation->vendor = error;
    }
    if (connection->status == 0) {
        connection->status = P2P_VERBS_NOT_POSTED;
        connection->vendor = error;
    }
    struct ibv_send_wr drain;
    struct ibv_send_wr *refused_too;
    memset(&drain, 0, sizeof(drain));
    drain.wr_id = (uint64_t)pair->place << 32 | pair->next;
    drain.opcode = IBV_WR_RDMA_WRITE;
    drain.send_flags = IBV_SEND_SIGNALED;
    memset(ring(pair, pair->next), 0, sizeof(struct p2p_verbs_request));
    pair->next++;
    pair->room--;
    pair->nic->room--;
    if (p2p_verbs_to_error(pair) != 0 || ibv_post_send(pair->qp, &drain, &refused_too) != 0) {
        pair->nic->broken = true;
    }
}

static void submit(struct chains *chains, struct p2p_verbs_connection *connection)
{
    for (int32_t i = 0; i < connection->pair_count; i++) {
        struct p2p_verbs_queue_pair *pair = &connection->pairs[i];
        if (chains->first[i] == NULL) {
            continue;
        }
        if (chains->unproven[i]) {
            append_proof(chains, connection, i);
        }
        make_signalled(pair, chains->last[i]);
        struct ibv_send_wr *bad = NULL;
        int error = ibv_post_send(pair->qp, chains->first[i], &bad);
        if (error != 0) {
            /* A driver that does not say which may have taken none. */
            refused(pair, bad == NULL ? chains->first[i] : bad, error > 0 ? error : errno);
        }
        chains->first[i] = NULL;
    }
    chains->length = 0;
}

int64_t p2p_verbs_post(int64_t handle, int64_t slots, int64_t count,
                       struct p2p_verbs_report *report)
{
    struct p2p_verbs_connection *connection = p2p_verbs_connection_of(handle);
    if (report == NULL) {
        return -(int64_t)EINVAL;
    }
    if (connection == NULL || slots <= 0 || slots % 8 != 0 || count < 0) {
        return p2p_verbs_failed("p2p_verbs_post", EINVAL, "arguments", report);
    }
    if (connection->detached) {
        return p2p_verbs_failed("p2p_verbs_post", EINVAL, "it is detached", report);
    }
    const struct slot *slot = (const struct slot *)(intptr_t)slots;
    struct chains chains;
    chains.length = 0;
    memset(chains.first, 0, sizeof(chains.first));
    memset(chains.unproven, 0, sizeof(chains.unproven));
    const struct slot *flushed = NULL;
    int64_t taken = 0;
    bool good = true;
    while (taken < count) {
        const struct slot *next = slot + taken;
        good = is_slot(connection, next);
        if (good && is_flushed(connection, next)) {
            if (flushed != NULL && !go_one_way(flushed, next)) {
                /* One read for each of the two. */
                submit(&chains, connection);
            }
            flushed = next;
        }
        if (!good || !chain(&chains, connection, next)) {
            break;
        }
        taken++;
        if (chains.length > CHAINED - MOST_OF_OPERATION - P2P_VERBS_PAIRS) {
            submit(&chains, connection);
        }
    }
    submit(&chains, connection);
    return good || taken > 0 ? taken : p2p_verbs_failed("p2p_verbs_post", EINVAL, "slot", report);
}
