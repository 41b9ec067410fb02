/*
 * Runs the core on a real device: two NICs in one process, connected to each other. Bytes both ways,
 * refusals, and every function with what it must refuse.
 *
 *   p2p_verbs_driver LIBRARY DEVICE GID_INDEX
 *
 * Prints what does not hold, and how many checks there were; the exit status is 0 if all held.
 */

#define _GNU_SOURCE

#include "p2p_verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LENGTH (1 << 20)
/* Of the registration, on either NIC. */
#define PLACE 5
#define DEPTH 100
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
    int64_t nic;
    int64_t queue_pair;
    int64_t number;
    int64_t key;
    int32_t tag;
    uint8_t *bytes;
    struct p2p_verbs_found found;
    struct p2p_verbs_completion completions[2 * DEPTH];
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

static bool open_side(struct side *side, int32_t tag, char **arguments)
{
    struct p2p_verbs_report report;
    struct p2p_verbs_opening opening = opening_of(arguments);
    memset(side, 0, sizeof(*side));
    side->tag = tag;
    side->nic = p2p_verbs_open(&opening, &side->found, &report);
    if (!told("open", side->nic, &report)) {
        return false;
    }
    side->bytes = aligned_alloc(4096, LENGTH);
    memset(side->bytes, 0, LENGTH);
    return told("register",
                p2p_verbs_register(side->nic, PLACE, (int64_t)(intptr_t)side->bytes, LENGTH,
                                   P2P_VERBS_REMOTE_READ | P2P_VERBS_REMOTE_WRITE, -1, &side->key,
                                   &report),
                &report);
}

static struct p2p_verbs_path path_to(const struct side *there)
{
    struct p2p_verbs_path path;
    memset(&path, 0, sizeof(path));
    memcpy(path.gid, there->found.gid, sizeof(path.gid));
    path.lid = there->found.lid;
    path.queue_pair = (int32_t)there->number;
    path.their_psn = 1000 + there->tag;
    path.own_psn = 1000;
    path.mtu = there->found.mtu;
    path.traffic_class = 104;
    path.reads_started = 4;
    path.reads_served = 4;
    path.by_gid = 1;
    return path;
}

static bool create(struct side *side)
{
    struct p2p_verbs_report report;
    side->queue_pair =
        p2p_verbs_create_queue_pair(side->nic, DEPTH, side->tag, &side->number, &report);
    return told("create", side->queue_pair, &report);
}

/* A queue pair on either side, connected. */
static bool connect_sides(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    if (!create(here) || !create(there)) {
        return false;
    }
    struct p2p_verbs_path to_there = path_to(there);
    struct p2p_verbs_path to_here = path_to(here);
    to_there.own_psn += here->tag;
    to_here.own_psn += there->tag;
    return told("connect", p2p_verbs_connect(here->queue_pair, &to_there, &report), &report) &&
           told("connect", p2p_verbs_connect(there->queue_pair, &to_here, &report), &report);
}

static void destroy_sides(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    check(p2p_verbs_destroy_queue_pair(here->queue_pair, false, &report) == 0, "one end goes");
    check(p2p_verbs_destroy_queue_pair(there->queue_pair, false, &report) == 0, "and the other");
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
    slot.words[9] = to->key << 32;
    return slot;
}

static int64_t post(struct side *side, struct slot *slots, int64_t count)
{
    struct p2p_verbs_report report;
    int64_t taken =
        p2p_verbs_post(side->queue_pair, (int64_t)(intptr_t)slots, count, &report);
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
        int64_t got = p2p_verbs_poll(side->nic, (int64_t)(intptr_t)(side->completions + n),
                                     2 * DEPTH - n, &report);
        if (!told("poll", got, &report)) {
            return n;
        }
        n += got;
        if (got == 0) {
            p2p_verbs_wait((int64_t)(intptr_t)&side->nic, 1, -1, SECOND);
        }
    }
    return n;
}

static bool completed(const struct side *side, int64_t n, int64_t id, int32_t status,
                      int32_t flushed)
{
    const struct p2p_verbs_completion *each = side->completions + n;
    bool same = each->id == id && each->tag == side->tag && each->status == status &&
                each->flushed == flushed;
    if (!same) {
        printf("completion %d: id %d, tag %d, status %d, flushed %d\n", (int)n, (int)each->id,
               each->tag, each->status, each->flushed);
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
    check(await(here, 1) == 1 && completed(here, 0, 42, 0, 0), "and done");
    check(memcmp(there->bytes + 100, here->bytes, LENGTH - 100) == 0, "its bytes are there");
    memset(here->bytes, 0, LENGTH);
    struct slot read = slot_of(43, READ, here, LENGTH - 100, there, 100);
    check(post(here, &read, 1) == 1, "a read is taken");
    check(await(here, 1) == 1 && completed(here, 0, 43, 0, 0), "and done");
    check(memcmp(there->bytes + 100, here->bytes, LENGTH - 100) == 0, "its bytes are here");
    struct slot nothing = slot_of(44, WRITE, here, 0, there, 0);
    check(post(here, &nothing, 1) == 1, "a write of no bytes is taken");
    check(await(here, 1) == 1 && completed(here, 0, 44, 0, 0), "and done");
}

/* More than the queue has room for: what is too much is taken later. */
static void takes_what_there_is_room_for(struct side *here, struct side *there)
{
    struct slot many[DEPTH + 10];
    for (int i = 0; i < DEPTH + 10; i++) {
        many[i] = slot_of(i, WRITE, here, 8, there, 8 * i);
    }
    check(post(here, many, DEPTH + 10) == DEPTH, "as many are taken as there is room for");
    check(post(here, many + DEPTH, 10) == 0, "and then none");
    check(await(here, DEPTH) == DEPTH, "all complete");
    for (int i = 0; i < DEPTH; i++) {
        check(completed(here, i, i, 0, 0), "in order");
    }
    check(post(here, many + DEPTH, 10) == 10, "the rest is taken");
    check(await(here, 10) == 10, "and completes");
}

static void memory_in_use_stays(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    struct slot write = slot_of(45, WRITE, here, LENGTH, there, 0);
    check(post(here, &write, 1) == 1, "a write is taken");
    check(p2p_verbs_close_memory(here->nic, PLACE, &report) == -EBUSY,
          "its memory is not closed meanwhile");
    check(p2p_verbs_destroy_queue_pair(here->queue_pair, false, &report) == -EBUSY,
          "nor its queue pair destroyed");
    check(p2p_verbs_close(here->nic, &report) == -EBUSY, "nor the NIC closed");
    struct p2p_verbs_completion outstanding[2];
    check(p2p_verbs_outstanding(here->nic, (int64_t)(intptr_t)outstanding, 2) == 1 &&
              outstanding[0].id == 45 && outstanding[0].tag == here->tag &&
              outstanding[0].status == FLUSHED,
          "it is outstanding");
    check(await(here, 1) == 1, "the write ends");
    check(p2p_verbs_outstanding(here->nic, (int64_t)(intptr_t)outstanding, 2) == 0,
          "nothing is outstanding");
}

/* The operation in the middle is refused: it breaks both queue pairs, and its error is told. */
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
    check(await(here, 5) == 5, "all five come back");
    check(completed(here, 0, 50, 0, 0) && completed(here, 1, 51, 0, 0), "the first two done");
    check(completed(here, 2, 52, status, 0), "the third refused");
    check(completed(here, 3, 53, status, 1) && completed(here, 4, 54, status, 1),
          "those behind it flushed, with its status");
    check(there->bytes[0] == 7 && there->bytes[64] == 7, "the first two are there");
    bool clean = true;
    for (int i = 128; i < LENGTH; i++) {
        clean &= there->bytes[i] == 0;
    }
    check(clean, "and nothing else");
    struct slot late = slot_of(60, WRITE, here, 8, there, 0);
    check(post(here, &late, 1) == 1, "what is posted later is taken");
    check(await(here, 1) == 1 && completed(here, 0, 60, status, 1), "and told the same");
}

static void refusals(struct side *here, struct side *there)
{
    struct slot wrong_key = slot_of(0, WRITE, here, 64, there, 128);
    wrong_key.words[9] ^= INT64_C(1) << 32;
    refusal_breaks_both(here, there, wrong_key, REMOTE_ACCESS);
    struct slot from_there = slot_of(70, READ, there, 64, here, 0);
    check(post(there, &from_there, 1) == 1, "the other side's is taken");
    check(await(there, 1) == 1 && completed(there, 0, 70, FLUSHED, 1), "and flushed");
    destroy_sides(here, there);

    check(connect_sides(here, there), "a new connection");
    struct slot too_far = slot_of(0, WRITE, here, 64, there, LENGTH - 63);
    refusal_breaks_both(here, there, too_far, REMOTE_ACCESS);
    destroy_sides(here, there);

    check(connect_sides(here, there), "and another");
    struct slot too_near = slot_of(0, WRITE, here, 64, there, 128);
    too_near.words[2] += LENGTH - 63;
    refusal_breaks_both(here, there, too_near, LOCAL_PROTECTION);
    destroy_sides(here, there);
    check(connect_sides(here, there), "and one that works");
    moves_bytes(here, there);
}

/* Registrations are open to no more than was asked for. */
static void access_is_no_wider(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    int64_t right = there->key;
    for (int access = 0; access < 3; access++) {
        int64_t key;
        check(p2p_verbs_register(there->nic, PLACE + 1, (int64_t)(intptr_t)there->bytes, LENGTH,
                                 access, -1, &key, &report) == 0,
              "a second registration");
        there->key = key;
        for (int opcode = WRITE; opcode <= READ; opcode++) {
            struct slot slot = slot_of(80, opcode, here, 64, there, 0);
            bool open = opcode == WRITE ? (access & P2P_VERBS_REMOTE_WRITE) != 0
                                        : (access & P2P_VERBS_REMOTE_READ) != 0;
            check(post(here, &slot, 1) == 1, "an operation is taken");
            check(await(here, 1) == 1 && completed(here, 0, 80, open ? 0 : REMOTE_ACCESS, 0),
                  open ? "and done" : "and refused");
            if (!open) {
                destroy_sides(here, there);
                check(connect_sides(here, there), "a new connection");
            }
        }
        check(p2p_verbs_close_memory(there->nic, PLACE + 1, &report) == 0, "it is closed");
        struct slot closed = slot_of(81, READ, here, 64, there, 0);
        check(post(here, &closed, 1) == 1, "an operation on what is closed is taken");
        check(await(here, 1) == 1 && completed(here, 0, 81, REMOTE_ACCESS, 0), "and refused");
        destroy_sides(here, there);
        check(connect_sides(here, there), "a new connection");
    }
    there->key = right;
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
    int64_t key;
    check(told("register",
               p2p_verbs_register(there->nic, PLACE + 1, (int64_t)(intptr_t)large, length,
                                  P2P_VERBS_REMOTE_WRITE, -1, &key, &report),
               &report),
          "it is registered");
    struct slot far = slot_of(75, WRITE, here, 64, there, 0);
    far.words[5] = (int64_t)(intptr_t)large + length - 64;
    far.words[9] = key << 32;
    memset(here->bytes, 9, 64);
    check(post(here, &far, 1) == 1, "a write to its end is taken");
    check(await(here, 1) == 1 && completed(here, 0, 75, 0, 0), "and done");
    check(large[piece - 1] == 9 && large[piece - 65] == 0, "and is there");
    check(p2p_verbs_close_memory(there->nic, PLACE + 1, &report) == 0, "it is closed");
    munmap(large, (size_t)length);
}

static void breaking_flushes(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    struct slot many[DEPTH];
    for (int i = 0; i < DEPTH; i++) {
        many[i] = slot_of(i, WRITE, here, LENGTH, there, 0);
    }
    check(post(here, many, DEPTH) == DEPTH, "many are taken");
    check(p2p_verbs_break(here->queue_pair, &report) == 0, "the queue pair is broken");
    check(await(here, DEPTH) == DEPTH, "all come back");
    check(completed(here, DEPTH - 1, DEPTH - 1, FLUSHED, 1), "the last one flushed");
    check(p2p_verbs_break(here->queue_pair, &report) == 0, "it may be broken again");
    destroy_sides(here, there);
    check(connect_sides(here, there), "a new connection");
}

static void wakes(struct side *here)
{
    int64_t wakeup = p2p_verbs_open_wakeup();
    int64_t nics = (int64_t)(intptr_t)&here->nic;
    check(wakeup >= 0, "a wake-up");
    check((fcntl((int)wakeup, F_GETFD) & FD_CLOEXEC) != 0, "that no child inherits");
    check(p2p_verbs_wake((int32_t)wakeup) == 0, "is given");
    time_t start = time(NULL);
    check(p2p_verbs_wait(nics, 1, (int32_t)wakeup, 60 * SECOND) == 0, "ends a wait");
    check(time(NULL) - start < 30, "at once");
    check(p2p_verbs_wait(nics, 1, (int32_t)wakeup, 1) == 0, "and is taken by it");
    check(p2p_verbs_close_wakeup((int32_t)wakeup) == 0, "and closed");
}

static void a_completion_ends_a_wait(struct side *here, struct side *there)
{
    int64_t nics = (int64_t)(intptr_t)&here->nic;
    struct slot write = slot_of(90, WRITE, here, LENGTH, there, 0);
    check(post(here, &write, 1) == 1, "a write is taken");
    time_t start = time(NULL);
    check(p2p_verbs_wait(nics, 1, -1, 60 * SECOND) == 0, "a wait ends");
    check(time(NULL) - start < 30, "when it is done");
    check(await(here, 1) == 1 && completed(here, 0, 90, 0, 0), "and it can be polled");
    /* The queue was armed, and sends its event; then there is nothing any more. */
    check(p2p_verbs_wait(nics, 1, -1, 1) == 0 && p2p_verbs_wait(nics, 1, -1, 1) == 0,
          "then waits end by time");
}

static void says_no(struct side *here, char **arguments)
{
    struct p2p_verbs_report report;
    struct p2p_verbs_opening opening = opening_of(arguments);
    struct p2p_verbs_found found;
    struct p2p_verbs_path path = path_to(here);
    char names[64];
    int64_t number;
    int64_t nics = (int64_t)(intptr_t)&here->nic;
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
    check(p2p_verbs_close(0, &report) == -EINVAL, "close of nothing");
    check(p2p_verbs_close((int64_t)(intptr_t)&opening, &report) == -EINVAL,
          "close of something else");
    check(p2p_verbs_register(here->nic, 1, 0, 1, 0, -1, &number, &report) == -EINVAL,
          "memory at 0");
    check(p2p_verbs_register(here->nic, 1, 4096, 0, 0, -1, &number, &report) == -EINVAL,
          "memory without bytes");
    check(p2p_verbs_register(here->nic, 1, 4096, 1, 4, -1, &number, &report) == -EINVAL,
          "rights that are none");
    check(p2p_verbs_register(here->nic, 1, 4096, 1, 0, -1, &number, &report) == -EFAULT,
          "memory that is not mapped");
    check(p2p_verbs_register(here->nic, 1, (int64_t)(intptr_t)here->bytes, 4096, 0, 0, &number,
                             &report) < 0,
          "a dma-buf that is none");
    check(p2p_verbs_register(here->nic, PLACE, 4096, 1, 0, -1, &number, &report) == -EBUSY,
          "a place that is taken");
    check(p2p_verbs_register(here->nic, P2P_VERBS_MEMORIES, 4096, 1, 0, -1, &number, &report) ==
              -EINVAL,
          "a place that is none");
    check(p2p_verbs_close_memory(0, PLACE, &report) == -EINVAL, "close of memory of nothing");
    check(p2p_verbs_close_memory(here->nic, PLACE + 1, &report) == -ENOENT, "close of no memory");
    check(p2p_verbs_locked_memory_limit() > 0, "a limit of locked memory");
    check(p2p_verbs_create_queue_pair(here->nic, 0, 1, &number, &report) == -EINVAL,
          "a queue pair without room");
    check(p2p_verbs_create_queue_pair(here->nic, 1 << 30, 1, &number, &report) < 0 &&
              report.error != 0,
          "a queue pair that is too long");
    check(p2p_verbs_connect(0, &path, &report) == -EINVAL, "connect of nothing");
    path.mtu = 9;
    check(p2p_verbs_connect(here->queue_pair, &path, &report) == -EINVAL, "an MTU that is none");
    path.mtu = 5;
    check(p2p_verbs_connect(here->queue_pair, &path, &report) < 0 && report.error != 0,
          "connect of what is connected");
    check(p2p_verbs_break(0, &report) == -EINVAL, "break of nothing");
    check(p2p_verbs_destroy_queue_pair(0, false, &report) == -EINVAL, "destruction of nothing");
    check(p2p_verbs_post(here->queue_pair, no_slot, 1, &report) == -EINVAL,
          "a slot without memory");
    check(p2p_verbs_post(here->queue_pair, 0, 1, &report) == -EINVAL, "no slots");
    check(p2p_verbs_post(here->queue_pair, no_slot, 0, &report) == 0, "no operations");
    check(p2p_verbs_post(here->nic, no_slot, 1, &report) == -EINVAL, "a NIC is no queue pair");
    check(p2p_verbs_poll(here->nic, 0, 1, &report) == -EINVAL, "no room for completions");
    check(p2p_verbs_poll(0, 8, 1, &report) == -EINVAL, "poll of nothing");
    check(p2p_verbs_outstanding(0, 8, 1) == -EINVAL, "outstanding of nothing");
    check(p2p_verbs_events(0, 8, 1, &report) == -EINVAL, "events of nothing");
    check(p2p_verbs_wait(nics, 0, -1, 1) == 0, "wait for nothing but the time");
    check(p2p_verbs_wait(nics, 1, -1, -1) == -EINVAL, "a negative wait");
    check(p2p_verbs_wait(0, 1, -1, 1) == -EINVAL, "wait for NICs nowhere");
    check(p2p_verbs_wait(no_slot, 1, -1, 1) == -EINVAL, "wait for something else");
    check(p2p_verbs_wake(-1) == -EBADF, "a wake-up that is none");
    check(p2p_verbs_close_wakeup(-1) == -EBADF, "close of a wake-up that is none");
}

/* What is outstanding is forgotten with its queue pair; the NIC is closed next. */
static void ends_in_the_middle(struct side *here, struct side *there)
{
    struct p2p_verbs_report report;
    struct slot write = slot_of(95, WRITE, here, LENGTH, there, 0);
    check(post(here, &write, 1) == 1, "a write is taken");
    check(p2p_verbs_destroy_queue_pair(here->queue_pair, true, &report) == 0,
          "its queue pair is destroyed nevertheless");
    check(p2p_verbs_destroy_queue_pair(there->queue_pair, false, &report) == 0,
          "and the other one");
}

static void close_side(struct side *side, const char *what)
{
    struct p2p_verbs_report report;
    struct p2p_verbs_event events[4];
    check(told("events", p2p_verbs_events(side->nic, (int64_t)(intptr_t)events, 4, &report),
               &report),
          "events can be read");
    check(p2p_verbs_close_memory(side->nic, PLACE, &report) == 0, "the memory is closed");
    check(p2p_verbs_close(side->nic, &report) == 0, what);
    free(side->bytes);
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: p2p_verbs_driver LIBRARY DEVICE GID_INDEX\n");
        return 2;
    }
    static struct side here;
    static struct side there;
    if (!open_side(&here, 3, arguments) || !open_side(&there, 8, arguments) ||
        !connect_sides(&here, &there)) {
        return 1;
    }
    check(here.found.active == 1 && here.found.longest > 0 && here.found.operations > 0 &&
              here.found.send_depth > 0,
          "what the NIC is");
    says_no(&here, arguments);
    wakes(&here);
    moves_bytes(&here, &there);
    takes_what_there_is_room_for(&here, &there);
    a_completion_ends_a_wait(&here, &there);
    memory_in_use_stays(&here, &there);
    offsets_beyond_4_gib(&here, &there);
    breaking_flushes(&here, &there);
    refusals(&here, &there);
    access_is_no_wider(&here, &there);
    ends_in_the_middle(&here, &there);
    close_side(&here, "the first NIC is closed");
    close_side(&there, "the second NIC is closed");
    printf("%s: %d checks, %d failed\n", arguments[2], checks, failures);
    return failures == 0 ? 0 : 1;
}
