/*
 * Runs the core on a real device: two sides in one process, connected to each other, each of which
 * has opened the device twice. Bytes both ways, refusals, and every function with what it must
 * refuse.
 *
 *   p2p_verbs_driver LIBRARY DEVICE GID_INDEX
 *
 * Prints what does not hold, and how many checks there were; the exit status is 0 if all held.
 */

#define _GNU_SOURCE

/* Its inside: where a device has to refuse what it takes, its function is replaced. */
#include "p2p_verbs_nic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LENGTH (1 << 20)
/* Of the registration, on every NIC. */
#define PLACE 5
#define NICS 2
/* Of each queue pair, and operations of a connection. */
#define DEPTH 100
#define OPERATIONS 300
#define WHOLE 63
#define SECOND INT64_C(1000000000)

/* Statuses of completions (ibv_poll_cq(3)). */
#define LOCAL_PROTECTION 4
#define FLUSHED 5
#define REMOTE_ACCESS 10

#define WRITE 1
#define READ 2

static int checks;
static int failures;

static void check(bool holds, const char *what)
{
    checks++;
    if (!holds) {
        failures++;
        printf("FAILED: %s\n", what);
    }
}

/* A slot of io.uccl.p2p.spi.OpBuffer, as words. */
struct slot {
    int64_t words[16];
};

struct side {
    int64_t nics[NICS];
    int64_t connection;
    uint32_t keys[NICS][P2P_VERBS_PIECES];
    int32_t tag;
    int64_t progress;
    uint8_t *bytes;
    struct p2p_verbs_making making;
    struct p2p_verbs_found found;
    struct p2p_verbs_completion completions[2 * OPERATIONS];
};

static struct p2p_verbs_opening opening_of(char **arguments)
{
    struct p2p_verbs_opening opening;
    memset(&opening, 0, sizeof(opening));
    snprintf(opening.library, sizeof(opening.library), "%s", arguments[1]);
    snprintf(opening.device, sizeof(opening.device), "%s", arguments[2]);
    opening.port = 1;
    opening.gid_index = atoi(arguments[3]);
    opening.completion_depth = 4096;
    return opening;
}

static bool told(const char *what, int64_t result, const struct p2p_verbs_report *report)
{
    if (result < 0) {
        printf("%s: %s: %s (errno %d)\n", what, report->call, report->text, report->error);
    }
    return result >= 0;
}

static bool register_side(struct side *side, int64_t place, uint8_t *bytes, int64_t length,
                          int32_t shift, int32_t access)
{
    struct p2p_verbs_report report;
    bool good = true;
    for (int i = 0; i < NICS; i++) {
        good &= told("register",
                     p2p_verbs_register(side->nics[i], place, (int64_t)(intptr_t)bytes, length,
                                        shift, access, -1, side->keys[i], &report),
                     &report);
    }
    return good;
}

static bool close_memory(struct side *side, int64_t place)
{
    struct p2p_verbs_report report;
    bool good = true;
    for (int i = 0; i < NICS; i++) {
        good &= told("close", p2p_verbs_close_memory(side->nics[i], place, &report), &report);
    }
    return good;
}

#define BOTH (P2P_VERBS_REMOTE_READ | P2P_VERBS_REMOTE_WRITE)

static bool open_side(struct side *side, int32_t tag, int32_t completion_depth, char **arguments)
{
    struct p2p_verbs_report report;
    struct p2p_verbs_opening opening = opening_of(arguments);
    opening.completion_depth = completion_depth;
    memset(side, 0, sizeof(*side));
    side->tag = tag;
    for (int i = 0; i < NICS; i++) {
        side->nics[i] = p2p_verbs_open(&opening, &side->found, &report);
        if (!told("open", side->nics[i], &report)) {
            return false;
        }
    }
    side->bytes = aligned_alloc(4096, LENGTH);
    memset(side->bytes, 0, LENGTH);
    return register_side(side, PLACE, side->bytes, LENGTH, WHOLE, BOTH);
}

static int32_t first_packet(const struct side *side, int pair)
{
    return 1000 * side->tag + pair;
}

static struct p2p_verbs_path path_to(const struct side *here, const struct side *there, int pair)
{
    struct p2p_verbs_path path;
    memset(&path, 0, sizeof(path));
    memcpy(path.gid, there->found.gid, sizeof(path.gid));
    path.lid = there->found.lid;
    path.queue_pair = there->making.numbers[pair];
    path.their_psn = first_packet(there, pair);
    path.own_psn = first_packet(here, pair);
    path.mtu = there->found.mtu;
    path.traffic_class = 104;
    path.reads_started = 4;
    path.reads_served = 4;
    path.by_gid = 1;
    path.their_nic = pair % there->making.nics;
    return path;
}

static bool create(struct side *side, int32_t nics, int32_t pairs, int32_t flush)
{
    struct p2p_verbs_report report;
    memset(&side->making, 0, sizeof(side->making));
    side->making.nics = nics;
    side->making.pairs = pairs;
    side->making.depth = DEPTH;
    side->making.operations = OPERATIONS;
    side->making.tag = side->tag;
    side->making.flush = flush;
    side->making.progress = (int64_t)(intptr_t)&side->progress;
    for (int i = 0; i < NICS; i++) {
        side->making.handles[i] = side->nics[i];
    }
    side->connection = p2p_verbs_create(&side->making, &report);
    return told("create", side->connection, &report);
}

static bool connect_to(struct side *here, const struct side *there)
{
    struct p2p_verbs_report report;
    struct p2p_verbs_path paths[P2P_VERBS_PAIRS];
    for (int i = 0; i < here->making.pairs; i++) {
        paths[i] = path_to(here, there, i);
    }
    int32_t pairs = there->making.pairs;
    return told("reduce", p2p_verbs_reduce(here->connection, pairs, &report), &report) &&
           told("connect", p2p_verbs_connect(here->connection, paths, pairs, &report), &report);
}

/* A connection of so many queue pairs between the two. */
static bool connect_sides(struct side *here, struct side *there, int32_t nics, int32_t pairs)
{
    return create(here, nics, pairs, 0) && create(there, nics, pairs, 0) &&
           connect_to(here, there) && connect_to(there, here);
}

static struct slot slot_of(int64_t id, int opcode, const struct side *from, int64_t length,
                           const struct side *to, int64_t offset)
{
    struct slot slot;
    memset(&slot, 0, sizeof(slot));
    slot.words[0] = id;
    slot.words[1] = opcode;
    slot.words[2] = (int64_t)(intptr_t)from->bytes;
    slot.words[3] = PLACE;
    slot.words[4] = length;
    slot.words[5] = (int64_t)(intptr_t)to->bytes + offset;
    slot.words[12] = to->keys[0][0] | (int64_t)to->keys[1][0] << 32;
    slot.words[14] = NICS | WHOLE << 8;
    return slot;
}

static int64_t post(struct side *side, struct slot *slots, int64_t count)
{
    struct p2p_verbs_report report;
    int64_t taken = p2p_verbs_post(side->connection, (int64_t)(intptr_t)slots, count, &report);
    told("post", taken, &report);
    return taken;
}

/* Waits for completions as a process does that has nothing else to do. Returns how many came. */
static int64_t await(struct side *side, int64_t count)
{
    struct p2p_verbs_report report;
    time_t end = time(NULL) + 20;
    int64_t n = 0;
    while (n < count && time(NULL) < end) {
        int64_t before = n;
        for (int i = 0; i < NICS; i++) {
            /* Few at a time, so that what one entry of the queue ends is told in parts. */
            int64_t room = count - n < 7 ? count - n : 7;
            int64_t got = p2p_verbs_poll(
                side->nics[i], (int64_t)(intptr_t)(side->completions + n), room, &report);
            if (!told("poll", got, &report)) {
                return n;
            }
            n += got;
        }
        if (n == before) {
            p2p_verbs_wait((int64_t)(intptr_t)side->nics, NICS, -1, SECOND);
        }
    }
    return n;
}

/* Flushes that nobody is told of may come back after the last operation. */
static int64_t destroy(struct side *side)
{
    struct p2p_verbs_report report;
    int64_t result = p2p_verbs_detach(side->connection, false, &report);
    for (int i = 0; result == -EAGAIN && i < 10; i++) {
        struct p2p_verbs_completion none;
        for (int k = 0; k < NICS; k++) {
            check(p2p_verbs_poll(side->nics[k], (int64_t)(intptr_t)&none, 1, &report) == 0,
                  "there is nothing to tell");
        }
        p2p_verbs_wait((int64_t)(intptr_t)side->nics, NICS, -1, SECOND / 10);
        result = p2p_verbs_detach(side->connection, false, &report);
    }
    return result < 0 ? result : p2p_verbs_destroy(side->connection, &report);
}

static void destroy_sides(struct side *here, struct side *there)
{
    check(destroy(here) == 0, "one end goes");
    check(destroy(there) == 0, "and the other");
}

static bool completed(const struct side *side, int64_t n, int64_t id, int32_t status)
{
    const struct p2p_verbs_completion *each = side->completions + n;
    bool same = each->id == id && each->tag == side->tag && each->status == status &&
                each->kind == P2P_VERBS_OPERATION;
    if (!same) {
        printf("completion %d: id %d, tag %d, status %d, kind %d\n", (int)n, (int)each->id,
               each->tag, each->status, each->kind);
    }
    return same;
}

static bool broke(const struct side *side, int64_t n, int32_t status)
{
    const struct p2p_verbs_completion *each = side->completions + n;
    bool same = each->tag == side->tag && each->status == status && each->kind == P2P_VERBS_BROKEN;
    if (!same) {
        printf("completion %d: tag %d, status %d, kind %d\n", (int)n, each->tag, each->status,
               each->kind);
    }
    return same;
}

/* -- what holds */

static void moves_bytes(struct side *here, struct side *there)
{
    for (int i = 0; i < LENGTH; i++) {
        here->bytes[i] = (uint8_t)(i * 31 + i / 256);
    }
    struct slot write = slot_of(42, WRITE, here, LENGTH - 100, there, 100);
    check(post(here, &write, 1) == 1, "a write is taken");
    check(await(here, 1) == 1 && completed(here, 0, 42, 0), "and done");
    check(memcmp(there->bytes + 100, here->bytes, LENGTH - 100) == 0, "its bytes are there");
    memset(here->bytes, 0, LENGTH);
    struct slot read = slot_of(43, READ, here, LENGTH - 100, there, 100);
    check(post(here, &read, 1) == 1, "a read is taken");
    check(await(here, 1) == 1 && completed(here, 0, 43, 0), "and done");
    check(memcmp(there->bytes + 100, here->bytes, LENGTH - 100) == 0, "its bytes are here");
    struct slot nothing = slot_of(44, WRITE, here, 0, there, 0);
    check(post(here, &nothing, 1) == 1, "a write of no bytes is taken");
    check(await(here, 1) == 1 && completed(here, 0, 44, 0), "and done");
}

/* More than the queue has room for: what is too much is taken later. */
static void takes_what_there_is_room_for(struct side *here, struct side *there)
{
    /* One place is kept for a flush, and one for what drains the queue pair. */
    const int room = DEPTH - 2;
    struct slot many[DEPTH + 10];
    for (int i = 0; i < DEPTH + 10; i++) {
        many[i] = slot_of(i, WRITE, here, 8, there, 8 * i);
    }
    int64_t progress = here->progress;
    check(post(here, many, DEPTH + 10) == room, "as many are taken as there is room for");
    check(post(here, many + room, 10) == 0, "and then none");
    check(await(here, room) == room, "all complete");
    for (int i = 0; i < room; i++) {
        check(completed(here, i, i, 0), "in order");
    }
    check(here->progress == progress + room, "and were counted");
    check(post(here, many + room, 10) == 10, "the rest is taken");
    check(await(here, 10) == 10, "and completes");
}

static void memory_in_use_stays(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    struct slot write = slot_of(45, WRITE, here, LENGTH, there, 0);
    check(post(here, &write, 1) == 1, "a write is taken");
    check(p2p_verbs_close_memory(here->nics[0], PLACE, &report) == -EAGAIN,
          "its memory is not closed meanwhile");
    check(p2p_verbs_detach(here->connection, false, &report) == -EAGAIN,
          "nor its connection detached");
    check(p2p_verbs_close(here->nics[0], &report) == -EBUSY, "nor the NIC closed");
    struct p2p_verbs_completion outstanding[2];
    check(p2p_verbs_outstanding(here->connection, (int64_t)(intptr_t)outstanding, 2) == 1 &&
              outstanding[0].id == 45 && outstanding[0].tag == here->tag &&
              outstanding[0].status == FLUSHED,
          "it is outstanding");
    check(await(here, 1) == 1, "the write ends");
    check(p2p_verbs_outstanding(here->connection, (int64_t)(intptr_t)outstanding, 2) == 0,
          "nothing is outstanding");
}

/* -- several of everything */

static void fill(uint8_t *bytes, int seed)
{
    for (int i = 0; i < LENGTH; i++) {
        bytes[i] = (uint8_t)((i + seed) * 31 + i / 251);
    }
}

/* Operations of all lengths at once, over all queue pairs; none is told before all its parts ended. */
static void spreads(struct side *here, struct side *there)
{
    enum { COUNT = 90 };
    struct slot slots[COUNT];
    int64_t at = 0;
    fill(here->bytes, 5);
    memset(there->bytes, 0, LENGTH);
    for (int i = 0; i < COUNT; i++) {
        int64_t length = i == 60 ? LENGTH / 4 * 3 : i * 17;
        slots[i] = slot_of(i, WRITE, here, length, there, at);
        slots[i].words[2] += at;
        at += length;
    }
    check(post(here, slots, COUNT) == COUNT, "many of many lengths are taken");
    check(await(here, COUNT) == COUNT, "and end");
    bool once[COUNT] = {false};
    bool all = true;
    for (int i = 0; i < COUNT; i++) {
        const struct p2p_verbs_completion *each = here->completions + i;
        all &= each->status == 0 && each->id >= 0 && each->id < COUNT && !once[each->id];
        once[each->id] = true;
    }
    check(all, "each well and once");
    check(memcmp(there->bytes, here->bytes, (size_t)at) == 0, "all bytes are there");
    check(there->bytes[at] == 0, "and no others");
    for (int i = 0; i < COUNT; i++) {
        slots[i].words[1] = READ;
    }
    memset(here->bytes, 0, LENGTH);
    check(post(here, slots, COUNT) == COUNT, "they are read back");
    check(await(here, COUNT) == COUNT, "and end");
    check(memcmp(there->bytes, here->bytes, (size_t)at) == 0, "and are the same");
}

/* A registration in four pieces, on either side, with other ends: operations are cut at all of them. */
static void crosses_pieces(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    uint8_t *cut = NULL;
    check(posix_memalign((void **)&cut, 256 << 10, LENGTH) == 0, "memory");
    memset(cut, 0, LENGTH);
    uint32_t keys[P2P_VERBS_PIECES];
    int64_t address = (int64_t)(intptr_t)cut;
    check(p2p_verbs_register(there->nics[0], PLACE + 2, address, LENGTH, 18, BOTH, -1, keys,
                             &report) == 0,
          "a registration in four pieces");
    check(keys[0] != keys[1] && keys[1] != keys[2] && keys[2] != keys[3], "has four keys");
    check(p2p_verbs_register(there->nics[0], PLACE + 3, address, LENGTH, 17, BOTH, -1, keys,
                             &report) == -EFBIG,
          "more pieces cannot be");
    uint32_t own[P2P_VERBS_PIECES];
    check(p2p_verbs_register(here->nics[0], PLACE + 2, (int64_t)(intptr_t)here->bytes, LENGTH - 4096,
                             19, 0, -1, own, &report) == 0,
          "and one here");
    fill(here->bytes, 9);
    struct slot slot = slot_of(7, WRITE, here, LENGTH - 9000, there, 0);
    slot.words[3] = PLACE + 2;
    slot.words[2] += 100;
    slot.words[5] = address + 777;
    slot.words[12] = keys[0] | (int64_t)keys[1] << 32;
    slot.words[13] = keys[2] | (int64_t)keys[3] << 32;
    slot.words[14] = 1 | 18 << 8;
    check(post(here, &slot, 1) == 1, "a write over all of it is taken");
    check(await(here, 1) == 1 && completed(here, 0, 7, 0), "and done");
    check(memcmp(cut + 777, here->bytes + 100, LENGTH - 9000) == 0, "its bytes are there");
    /* The shift is the peer's word. */
    for (int shift = 0; shift < 18; shift++) {
        slot.words[14] = 1 | shift << 8;
        check(p2p_verbs_post(here->connection, (int64_t)(intptr_t)&slot, 1, &report) == -EINVAL,
              "with more pieces than keys it is no operation");
    }
    slot.words[14] = 1 | 18 << 8;
    slot.words[5] = -100;
    check(p2p_verbs_post(here->connection, (int64_t)(intptr_t)&slot, 1, &report) == -EINVAL,
          "nor one beyond the last address");
    slot.words[5] = address + 777;
    check(p2p_verbs_close_memory(here->nics[0], PLACE + 2, &report) == 0, "it is closed here");
    check(p2p_verbs_close_memory(there->nics[0], PLACE + 2, &report) == 0, "and there");
    check(p2p_verbs_post(here->connection, (int64_t)(intptr_t)&slot, 1, &report) == -EINVAL,
          "what uses it is no operation any more");
    free(cut);
}

/* Writes that end with a read behind them. */
static void flushes(struct side *here, struct side *there)
{
    check(create(here, NICS, 4, 1) && create(there, NICS, 4, 0) && connect_to(here, there) &&
              connect_to(there, here),
          "a connection that flushes");
    int64_t progress = here->progress;
    struct slot write = slot_of(11, WRITE, here, 100, there, 0);
    check(post(here, &write, 1) == 1, "a write is taken");
    check(await(here, 1) == 1 && completed(here, 0, 11, 0), "and done");
    check(here->progress == progress + 2, "with a read behind it");
    struct slot nothing = slot_of(12, WRITE, here, 0, there, 0);
    check(post(here, &nothing, 1) == 1 && await(here, 1) == 1 && completed(here, 0, 12, 0),
          "of no bytes nothing is to be flushed");
    check(here->progress == progress + 3, "and nothing is");
    progress = here->progress;
    struct slot to_gpus[3];
    for (int i = 0; i < 3; i++) {
        to_gpus[i] = slot_of(14 + i, WRITE, here, 100, there, 100 * i);
        to_gpus[i].words[14] |= 1 << 16;
        /* The first two are in one region. */
        to_gpus[i].words[10] = (int64_t)(i / 2) << 32;
    }
    check(post(here, to_gpus, 3) == 3 && await(here, 3) == 3, "writes to two GPUs are taken");
    check(here->progress == progress + 5, "with a read behind those of each");
    moves_bytes(here, there);
    spreads(here, there);
    /* Open to writes alone: the write arrives, and what would prove it is refused. */
    uint32_t right[2] = {there->keys[0][0], there->keys[1][0]};
    check(register_side(there, PLACE + 1, there->bytes, LENGTH, WHOLE, P2P_VERBS_REMOTE_WRITE),
          "a registration that cannot be read");
    struct slot unproven = slot_of(13, WRITE, here, 100, there, 0);
    check(post(here, &unproven, 1) == 1, "a write to it is taken");
    check(await(here, 2) == 2 && broke(here, 0, REMOTE_ACCESS) && completed(here, 1, 13, REMOTE_ACCESS),
          "and is not told as done");
    check(close_memory(there, PLACE + 1), "it is closed");
    destroy_sides(here, there);
    there->keys[0][0] = right[0];
    there->keys[1][0] = right[1];
}

/* -- what the device does not take */

static int (*real_post)(struct ibv_qp *qp, struct ibv_send_wr *request, struct ibv_send_wr **bad);
static int takes;

/* The device takes so many requests more, and of a chain what fits. */
static int takes_some(struct ibv_qp *qp, struct ibv_send_wr *request, struct ibv_send_wr **bad)
{
    struct ibv_send_wr *each = request;
    for (; each != NULL; each = each->next) {
        struct ibv_send_wr alone = *each;
        alone.next = NULL;
        if (takes == 0) {
            /* What drains is taken again. */
            takes = 1000;
            *bad = each;
            return EINVAL;
        }
        takes--;
        if (real_post(qp, &alone, bad) != 0) {
            *bad = each;
            return EIO;
        }
    }
    return 0;
}

/* A side with fewer queue pairs decides for both. */
static void fewer_pairs_decide(struct side *here, struct side *there)
{
    check(create(here, NICS, 5, 0) && create(there, 1, 2, 0), "five queue pairs and two");
    here->making.pairs = 2;
    check(connect_to(here, there) && connect_to(there, here), "are connected");
    check(p2p_verbs_nic_of(here->nics[0])->pair_count == 1, "and no more are kept");
    moves_bytes(here, there);
    destroy_sides(here, there);
}

/* The bad one is told by its id; what the device took before it ends, what is behind it fails. */
static void tells_the_bad_request(struct side *here, struct side *there)
{
    struct slot slots[10];
    for (int i = 0; i < 10; i++) {
        slots[i] = slot_of(20 + i, WRITE, here, 64, there, 64 * i);
    }
    memset(here->bytes, 3, LENGTH);
    memset(there->bytes, 0, LENGTH);
    struct p2p_verbs_nic *nic = p2p_verbs_nic_of(here->nics[0]);
    real_post = nic->context->ops.post_send;
    nic->context->ops.post_send = takes_some;
    takes = 5;
    check(post(here, slots, 10) == 10, "ten are taken");
    nic->context->ops.post_send = real_post;
    check(await(here, 11) == 11, "all come back");
    int n = 0;
    bool told_broken = false;
    bool told_bad = false;
    for (int i = 0; i < 11; i++) {
        const struct p2p_verbs_completion *each = here->completions + i;
        told_broken |= each->kind == P2P_VERBS_BROKEN && each->status == P2P_VERBS_NOT_POSTED &&
                       each->vendor == EINVAL;
        told_bad |= each->id == 25 && each->status == P2P_VERBS_NOT_POSTED && each->vendor == EINVAL;
        n += each->kind == P2P_VERBS_OPERATION && each->id >= 25 && each->status != 0;
    }
    check(told_broken && told_bad, "with the bad one, and why");
    check(n == 5, "and no other than it and those behind it was called done");
    check(there->bytes[64 * 5] == 0, "it is not there");
    destroy_sides(here, there);
    check(connect_sides(here, there, 1, 1), "a new connection");
    moves_bytes(here, there);
}

/* -- refusals */

/* The operation in the middle is refused: it breaks both ends, and its error is told. */
static void refusal_breaks_both(struct side *here, struct side *there, struct slot refused,
                                int32_t status)
{
    struct slot slots[5];
    for (int i = 0; i < 5; i++) {
        slots[i] = i == 2 ? refused : slot_of(50 + i, WRITE, here, 64, there, 64 * i);
    }
    slots[2].words[0] = 52;
    memset(there->bytes, 0, LENGTH);
    memset(here->bytes, 7, LENGTH);
    check(post(here, slots, 5) == 5, "five are taken");
    check(await(here, 6) == 6, "all five come back");
    check(broke(here, 0, status), "after the connection, broken");
    check(completed(here, 1, 50, 0) && completed(here, 2, 51, 0), "the first two done");
    check(completed(here, 3, 52, status), "the third refused");
    check(completed(here, 4, 53, status) && completed(here, 5, 54, status),
          "those behind it flushed, with its status");
    check(there->bytes[0] == 7 && there->bytes[64] == 7, "the first two are there");
    bool clean = true;
    for (int i = 128; i < LENGTH; i++) {
        clean &= there->bytes[i] == 0;
    }
    check(clean, "and nothing else");
    struct slot late = slot_of(60, WRITE, here, 8, there, 0);
    check(post(here, &late, 1) == 1, "what is posted later is taken");
    check(await(here, 1) == 1 && completed(here, 0, 60, status), "and told the same");
}

static void refusals(struct side *here, struct side *there)
{
    struct slot wrong_key = slot_of(0, WRITE, here, 64, there, 128);
    wrong_key.words[12] ^= 1;
    refusal_breaks_both(here, there, wrong_key, REMOTE_ACCESS);
    struct slot from_there = slot_of(70, READ, there, 64, here, 0);
    check(post(there, &from_there, 1) == 1, "the other side's is taken");
    check(await(there, 2) == 2 && broke(there, 0, FLUSHED) && completed(there, 1, 70, FLUSHED),
          "and flushed");
    destroy_sides(here, there);

    check(connect_sides(here, there, 1, 1), "a new connection");
    struct slot too_far = slot_of(0, WRITE, here, 64, there, LENGTH - 63);
    refusal_breaks_both(here, there, too_far, REMOTE_ACCESS);
    destroy_sides(here, there);

    check(connect_sides(here, there, 1, 1), "and another");
    struct slot too_near = slot_of(0, WRITE, here, 64, there, 128);
    too_near.words[2] += LENGTH - 63;
    refusal_breaks_both(here, there, too_near, LOCAL_PROTECTION);
    destroy_sides(here, there);
    check(connect_sides(here, there, 1, 1), "and one that works");
    moves_bytes(here, there);
}

/* Of several queue pairs one is refused: the others are broken by hand, and all comes back. */
static void one_of_several_breaks(struct side *here, struct side *there)
{
    enum { COUNT = 200 };
    struct p2p_verbs_report report;
    struct slot slots[COUNT];
    for (int i = 0; i < COUNT; i++) {
        slots[i] = slot_of(i, WRITE, here, 4096, there, 0);
    }
    slots[20].words[12] ^= 1 | INT64_C(1) << 32;
    check(post(here, slots, COUNT) == COUNT, "many are taken");
    int64_t n = 0;
    bool found = false;
    while (!found && await(here, 1) == 1) {
        found = here->completions[0].kind == P2P_VERBS_BROKEN;
        check(!found || here->completions[0].status == REMOTE_ACCESS, "with the refusal");
        n += !found;
    }
    check(found, "it breaks");
    check(p2p_verbs_break(here->connection, &report) == 0, "the others are broken");
    check(await(here, COUNT - n) == COUNT - n, "all come back");
    bool known = true;
    for (int64_t i = 0; i < COUNT - n; i++) {
        int32_t status = here->completions[i].status;
        known &= status == 0 || status == REMOTE_ACCESS;
    }
    check(known, "done or with the refusal");
    destroy_sides(here, there);
}

/* Registrations are open to no more than was asked for. */
static void access_is_no_wider(struct side *here, struct side *there)
{
    uint32_t right[2] = {there->keys[0][0], there->keys[1][0]};
    for (int access = 0; access < 3; access++) {
        check(register_side(there, PLACE + 1, there->bytes, LENGTH, WHOLE, access),
              "a second registration");
        for (int opcode = WRITE; opcode <= READ; opcode++) {
            struct slot slot = slot_of(80, opcode, here, 64, there, 0);
            bool open = opcode == WRITE ? (access & P2P_VERBS_REMOTE_WRITE) != 0
                                        : (access & P2P_VERBS_REMOTE_READ) != 0;
            check(post(here, &slot, 1) == 1, "an operation is taken");
            if (open) {
                check(await(here, 1) == 1 && completed(here, 0, 80, 0), "and done");
            } else {
                check(await(here, 2) == 2 && completed(here, 1, 80, REMOTE_ACCESS), "and refused");
                destroy_sides(here, there);
                check(connect_sides(here, there, 1, 1), "a new connection");
            }
        }
        check(close_memory(there, PLACE + 1), "it is closed");
        struct slot closed = slot_of(81, READ, here, 64, there, 0);
        check(post(here, &closed, 1) == 1, "an operation on what is closed is taken");
        check(await(here, 2) == 2 && completed(here, 1, 81, REMOTE_ACCESS), "and refused");
        destroy_sides(here, there);
        check(connect_sides(here, there, 1, 1), "a new connection");
    }
    there->keys[0][0] = right[0];
    there->keys[1][0] = right[1];
}

/*
 * A region of more than 4 GiB and a place behind them. It is one piece of memory mapped again and
 * again, because all of a registration is pinned.
 */
static void offsets_beyond_4_gib(struct side *here, struct side *there)
{
    const int64_t piece = 2 << 20;
    const int64_t length = (INT64_C(4) << 30) + piece;
    struct p2p_verbs_report report;
    int fd = memfd_create("p2p_verbs_driver", MFD_CLOEXEC);
    check(fd >= 0 && ftruncate(fd, piece) == 0, "a piece of memory");
    uint8_t *large =
        mmap(NULL, (size_t)length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(large != MAP_FAILED, "room for its mappings");
    bool mapped = large != MAP_FAILED;
    for (int64_t at = 0; mapped && at < length; at += piece) {
        mapped = mmap(large + at, (size_t)piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                      0) != MAP_FAILED;
    }
    close(fd);
    check(mapped, "its mappings");
    if (!mapped) {
        return;
    }
    uint32_t keys[P2P_VERBS_PIECES];
    check(told("register",
               p2p_verbs_register(there->nics[0], PLACE + 1, (int64_t)(intptr_t)large, length,
                                  WHOLE, P2P_VERBS_REMOTE_WRITE, -1, keys, &report),
               &report),
          "it is registered");
    struct slot far = slot_of(75, WRITE, here, 64, there, 0);
    far.words[5] = (int64_t)(intptr_t)large + length - 64;
    far.words[12] = keys[0];
    memset(here->bytes, 9, 64);
    check(post(here, &far, 1) == 1, "a write to its end is taken");
    check(await(here, 1) == 1 && completed(here, 0, 75, 0), "and done");
    check(large[piece - 1] == 9 && large[piece - 65] == 0, "and is there");
    check(p2p_verbs_close_memory(there->nics[0], PLACE + 1, &report) == 0, "it is closed");
    munmap(large, (size_t)length);
}

/* The other side serves nobody, so all is under way when this one breaks. */
static void breaking_flushes(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    struct slot many[OPERATIONS];
    for (int i = 0; i < OPERATIONS; i++) {
        many[i] = slot_of(i, WRITE, here, LENGTH, there, 0);
    }
    check(p2p_verbs_break(there->connection, &report) == 0, "the other side is broken");
    int64_t taken = post(here, many, OPERATIONS);
    check(taken > 40, "many are taken");
    check(p2p_verbs_break(here->connection, &report) == 0, "the connection is broken");
    check(await(here, taken + 1) == taken + 1, "all come back");
    int64_t flushed = 0;
    int64_t told_broken = 0;
    for (int64_t i = 0; i <= taken; i++) {
        bool is_flush = here->completions[i].status == FLUSHED;
        told_broken += here->completions[i].kind == P2P_VERBS_BROKEN && is_flush;
        flushed += here->completions[i].kind == P2P_VERBS_OPERATION && is_flush;
    }
    check(told_broken == 1 && flushed == taken, "flushed, after the connection is told as broken");
    check(p2p_verbs_break(here->connection, &report) == 0, "it may be broken again");
    destroy_sides(here, there);
}

static void wakes(struct side *here)
{
    int wakeup = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    int64_t nics = (int64_t)(intptr_t)here->nics;
    check(wakeup >= 0, "a wake-up that is given");
    time_t start = time(NULL);
    check(p2p_verbs_wait(nics, 1, wakeup, 60 * SECOND) == 0, "ends a wait");
    check(time(NULL) - start < 30, "at once");
    check(p2p_verbs_wait(nics, 1, wakeup, 1) == 0, "and is taken by it");
    close(wakeup);
}

static void a_completion_ends_a_wait(struct side *here, struct side *there)
{
    int64_t nics = (int64_t)(intptr_t)here->nics;
    struct slot write = slot_of(90, WRITE, here, LENGTH, there, 0);
    check(post(here, &write, 1) == 1, "a write is taken");
    time_t start = time(NULL);
    check(p2p_verbs_wait(nics, 1, -1, 60 * SECOND) == 0, "a wait ends");
    check(time(NULL) - start < 30, "when it is done");
    check(await(here, 1) == 1 && completed(here, 0, 90, 0), "and it can be polled");
    /* The queue was armed, and sends its event; then there is nothing any more. */
    check(p2p_verbs_wait(nics, 1, -1, 1) == 0 && p2p_verbs_wait(nics, 1, -1, 1) == 0,
          "then waits end by time");
}

static void says_no(struct side *here, char **arguments)
{
    struct p2p_verbs_report report;
    struct p2p_verbs_opening opening = opening_of(arguments);
    struct p2p_verbs_found found;
    struct p2p_verbs_path path = path_to(here, here, 0);
    struct p2p_verbs_making making = here->making;
    char names[64];
    uint32_t keys[P2P_VERBS_PIECES];
    int64_t nics = (int64_t)(intptr_t)here->nics;
    struct slot none;
    memset(&none, 0, sizeof(none));
    int64_t no_slot = (int64_t)(intptr_t)&none;
    check(p2p_verbs_devices(arguments[1], names, 1, &report) >= 1 && names[63] == 0, "devices");
    check(p2p_verbs_devices(arguments[1], NULL, 1, &report) == -EINVAL, "devices without room");
    check(p2p_verbs_devices(NULL, names, 1, &report) == -EINVAL, "devices of no library");
    check(p2p_verbs_devices("libc.so.6", names, 1, &report) == -ENOSYS && report.text[0] != 0,
          "devices of another library");
    check(p2p_verbs_open(NULL, &found, &report) == -EINVAL, "open without an opening");
    check(p2p_verbs_open(&opening, &found, NULL) == -EINVAL, "open without a report");
    check(p2p_verbs_open(&opening, NULL, &report) == -EINVAL, "open without room for its find");
    opening.gid_index = 100000;
    check(p2p_verbs_open(&opening, &found, &report) < 0 && report.error != 0,
          "an address that is not there");
    opening = opening_of(arguments);
    opening.port = 200;
    check(p2p_verbs_open(&opening, &found, &report) < 0 && report.call[0] != 0,
          "a port that is not there");
    opening = opening_of(arguments);
    strcpy(opening.device, "nothing0");
    check(p2p_verbs_open(&opening, &found, &report) == -ENODEV, "a device that is not there");
    strcpy(opening.library, "/nowhere/libibverbs.so.1");
    check(p2p_verbs_open(&opening, &found, &report) == -ENOENT && report.text[0] != 0,
          "a library that is not there");
    memset(opening.library, 'x', sizeof(opening.library));
    check(p2p_verbs_open(&opening, &found, &report) == -EINVAL, "a text without an end");
    check(p2p_verbs_refresh(0, &found, &report) == -EINVAL, "a look at nothing");
    check(p2p_verbs_refresh(here->nics[0], NULL, &report) == -EINVAL, "a look without room");
    memset(&found, 0, sizeof(found));
    check(p2p_verbs_refresh(here->nics[0], &found, &report) == 0, "the port is looked at again");
    check(found.mtu == here->found.mtu && found.lid == here->found.lid && found.active == 1 &&
              memcmp(found.gid, here->found.gid, sizeof(found.gid)) == 0,
          "and is as it was");
    check(p2p_verbs_close(0, &report) == -EINVAL, "close of nothing");
    check(p2p_verbs_close((int64_t)(intptr_t)&opening, &report) == -EINVAL,
          "close of something else");
    check(p2p_verbs_register(here->nics[0], 1, 0, 1, WHOLE, 0, -1, keys, &report) == -EINVAL,
          "memory at 0");
    check(p2p_verbs_register(here->nics[0], 1, 4096, 0, WHOLE, 0, -1, keys, &report) == -EINVAL,
          "memory without bytes");
    check(p2p_verbs_register(here->nics[0], 1, 4096, 1, WHOLE, 4, -1, keys, &report) == -EINVAL,
          "rights that are none");
    check(p2p_verbs_register(here->nics[0], 1, 4096, 1, WHOLE, 0, -1, keys, &report) == -EFAULT,
          "memory that is not mapped");
    check(p2p_verbs_register(here->nics[0], 1, (int64_t)(intptr_t)here->bytes, 4096, WHOLE, 0, 0,
                             keys, &report) < 0,
          "a dma-buf that is none");
    check(p2p_verbs_register(here->nics[0], PLACE, 4096, 1, WHOLE, 0, -1, keys, &report) == -EBUSY,
          "a place that is taken");
    check(p2p_verbs_register(here->nics[0], P2P_VERBS_MEMORIES, 4096, 1, WHOLE, 0, -1, keys,
                             &report) ==
              -EINVAL,
          "a place that is none");
    check(p2p_verbs_register(here->nics[0], 1, 4096, 1, 64, 0, -1, keys, &report) == -EINVAL,
          "pieces that are none");
    check(p2p_verbs_close_memory(0, PLACE, &report) == -EINVAL, "close of memory of nothing");
    check(p2p_verbs_close_memory(here->nics[0], PLACE + 1, &report) == -ENOENT, "close of no memory");
    check(p2p_verbs_locked_memory_limit() > 0, "a limit of locked memory");
    making.depth = 1;
    check(p2p_verbs_create(&making, &report) == -EINVAL, "a queue pair without room");
    making.depth = (1 << 20) + 1;
    check(p2p_verbs_create(&making, &report) == -EINVAL, "a queue pair that is too long");
    making = here->making;
    making.handles[0] = no_slot;
    check(p2p_verbs_create(&making, &report) == -EINVAL, "a connection of no NIC");
    making = here->making;
    making.pairs = P2P_VERBS_PAIRS + 1;
    check(p2p_verbs_create(&making, &report) == -EINVAL, "too many queue pairs");
    check(p2p_verbs_create(NULL, &report) == -EINVAL, "a connection of nothing");
    check(p2p_verbs_reduce(0, 1, &report) == -EINVAL, "reduce of nothing");
    check(p2p_verbs_reduce(here->connection, 0, &report) == -EINVAL, "reduce to nothing");
    check(p2p_verbs_reduce(here->connection, 2, &report) == -EINVAL,
          "reduce to more queue pairs than there are");
    check(p2p_verbs_connect(0, &path, 1, &report) == -EINVAL, "connect of nothing");
    check(p2p_verbs_connect(here->connection, NULL, 1, &report) == -EINVAL, "connect to nothing");
    check(p2p_verbs_connect(here->connection, &path, 2, &report) == -EINVAL,
          "more than the queue pairs that there are");
    path.mtu = 9;
    check(p2p_verbs_connect(here->connection, &path, 1, &report) == -EINVAL, "an MTU that is none");
    path.mtu = 5;
    path.their_nic = P2P_VERBS_NICS;
    check(p2p_verbs_connect(here->connection, &path, 1, &report) == -EINVAL, "a NIC that is none");
    path.their_nic = 0;
    check(p2p_verbs_connect(here->connection, &path, 1, &report) < 0 && report.error != 0,
          "connect of what is connected");
    check(p2p_verbs_break(0, &report) == -EINVAL, "break of nothing");
    check(p2p_verbs_detach(0, false, &report) == -EINVAL, "detachment of nothing");
    check(p2p_verbs_destroy(0, &report) == -EINVAL, "destruction of nothing");
    check(p2p_verbs_destroy(here->connection, &report) == -EINVAL,
          "destruction of what is not detached");
    check(p2p_verbs_post(here->connection, no_slot, 1, &report) == -EINVAL,
          "a slot without memory");
    check(p2p_verbs_post(here->connection, 0, 1, &report) == -EINVAL, "no slots");
    check(p2p_verbs_post(here->connection, no_slot, 0, &report) == 0, "no operations");
    check(p2p_verbs_post(here->nics[0], no_slot, 1, &report) == -EINVAL, "a NIC is no connection");
    check(p2p_verbs_poll(here->nics[0], 0, 1, &report) == -EINVAL, "no room for completions");
    check(p2p_verbs_poll(0, 8, 1, &report) == -EINVAL, "poll of nothing");
    check(p2p_verbs_outstanding(0, 8, 1) == -EINVAL, "outstanding of nothing");
    check(p2p_verbs_events(0, 8, 1, &report) == -EINVAL, "events of nothing");
    check(p2p_verbs_wait(nics, 0, -1, 1) == 0, "wait for nothing but the time");
    check(p2p_verbs_wait(nics, 1, -1, -1) == -EINVAL, "a negative wait");
    check(p2p_verbs_wait(0, 1, -1, 1) == -EINVAL, "wait for NICs nowhere");
    check(p2p_verbs_wait(no_slot, 1, -1, 1) == -EINVAL, "wait for something else");
}

/* What is outstanding is forgotten with its connection; the NICs are closed next. */
static void ends_in_the_middle(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    struct p2p_verbs_path path = {.mtu = 5};
    struct slot write = slot_of(95, WRITE, here, LENGTH, there, 0);
    check(post(here, &write, 1) == 1, "a write is taken");
    check(p2p_verbs_detach(here->connection, true, &report) == 0,
          "its connection is detached nevertheless");
    check(p2p_verbs_detach(here->connection, true, &report) == 0, "and again");
    check(p2p_verbs_post(here->connection, (int64_t)(intptr_t)&write, 1, &report) == -EINVAL,
          "it takes nothing more");
    check(p2p_verbs_break(here->connection, &report) == -EINVAL, "nor is it broken");
    check(p2p_verbs_reduce(here->connection, 1, &report) == -EINVAL, "nor reduced");
    check(p2p_verbs_connect(here->connection, &path, 1, &report) == -EINVAL, "nor connected");
    check(p2p_verbs_close_memory(here->nics[0], PLACE, &report) == -EAGAIN,
          "the memory of the write is in use");
    check(p2p_verbs_close(here->nics[0], &report) == -EBUSY, "and so is the NIC");
    check(p2p_verbs_destroy(here->connection, &report) == 0, "it is destroyed");
    check(destroy(there) == 0, "and the other one");
}

static void close_side(struct side *side, const char *what)
{
    struct p2p_verbs_report report;
    struct p2p_verbs_event events[4];
    check(close_memory(side, PLACE), "the memory is closed");
    for (int i = 0; i < NICS; i++) {
        check(told("events",
                   p2p_verbs_events(side->nics[i], (int64_t)(intptr_t)events, 4, &report),
                   &report),
              "events can be read");
        check(p2p_verbs_close(side->nics[i], &report) == 0, what);
    }
    free(side->bytes);
}

/* Connections of one NIC: together they never have more under way than its queue has room for. */
static void share_the_completion_queue(char **arguments)
{
    enum { ROOM = 64, COUNT = 100 };
    static struct side here;
    static struct side there;
    static struct side second_here;
    static struct side second_there;
    if (!open_side(&here, 11, ROOM, arguments) || !open_side(&there, 12, 4096, arguments)) {
        check(false, "two sides");
        return;
    }
    second_here = here;
    second_there = there;
    second_here.tag = 13;
    second_there.tag = 14;
    check(connect_sides(&here, &there, 1, 4) && connect_sides(&second_here, &second_there, 1, 4),
          "two connections");
    struct slot slots[COUNT];
    for (int i = 0; i < COUNT; i++) {
        slots[i] = slot_of(i, WRITE, &here, 8, &there, 8 * i);
    }
    /* Nobody answers, so all stays under way. */
    struct p2p_verbs_report report;
    check(p2p_verbs_break(there.connection, &report) == 0 &&
              p2p_verbs_break(second_there.connection, &report) == 0,
          "the other side is broken");
    int64_t first = post(&here, slots, COUNT);
    int64_t second = post(&second_here, slots, COUNT);
    check(first > 0 && first + second <= ROOM, "no more are taken than there is room for");
    check(p2p_verbs_break(here.connection, &report) == 0, "the first connection is broken");
    check(await(&here, first + 1) == first + 1, "what it had comes back");
    int64_t third = post(&second_here, slots, COUNT);
    check(third > 0, "and makes room for the second");
    check(p2p_verbs_break(second_here.connection, &report) == 0, "which is broken too");
    check(await(&here, second + third + 1) == second + third + 1, "what that one had comes back");
    destroy_sides(&here, &there);
    destroy_sides(&second_here, &second_there);
    close_side(&here, "one side is closed");
    close_side(&there, "and the other");
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: p2p_verbs_driver LIBRARY DEVICE GID_INDEX\n");
        return 2;
    }
    static struct side here;
    static struct side there;
    if (!open_side(&here, 3, 4096, arguments) || !open_side(&there, 8, 4096, arguments) ||
        !connect_sides(&here, &there, 1, 1)) {
        return 1;
    }
    check(here.found.active == 1 && here.found.longest > 0 && here.found.requests > 0 &&
              here.found.send_depth > 0,
          "what the NIC is");
    says_no(&here, arguments);
    wakes(&here);
    moves_bytes(&here, &there);
    takes_what_there_is_room_for(&here, &there);
    a_completion_ends_a_wait(&here, &there);
    memory_in_use_stays(&here, &there);
    crosses_pieces(&here, &there);
    offsets_beyond_4_gib(&here, &there);
    tells_the_bad_request(&here, &there);
    refusals(&here, &there);
    access_is_no_wider(&here, &there);
    breaking_flushes(&here, &there);
    for (int nics = 1; nics <= NICS; nics++) {
        for (int pairs = 1; pairs <= 5; pairs += 2) {
            check(connect_sides(&here, &there, nics, pairs), "several queue pairs");
            moves_bytes(&here, &there);
            spreads(&here, &there);
            breaking_flushes(&here, &there);
        }
    }
    fewer_pairs_decide(&here, &there);
    check(connect_sides(&here, &there, NICS, 4), "four queue pairs on two NICs");
    one_of_several_breaks(&here, &there);
    flushes(&here, &there);
    share_the_completion_queue(arguments);
    check(connect_sides(&here, &there, NICS, 4), "and at last");
    ends_in_the_middle(&here, &there);
    close_side(&here, "the first side is closed");
    close_side(&there, "the second side is closed");
    printf("%s: %d checks, %d failed\n", arguments[2], checks, failures);
    return failures == 0 ? 0 : 1;
}
