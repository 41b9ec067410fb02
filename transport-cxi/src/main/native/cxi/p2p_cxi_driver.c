/*
 * Runs the shim's core on a libfabric and a provider: two endpoints of one process, and every
 * function with what it must refuse.
 *
 *   p2p_cxi_driver LIBRARY PROVIDER
 *
 * Prints what does not hold, and how many checks there were; the exit status is 0 if all held.
 */

#define _GNU_SOURCE

#include "p2p_cxi_endpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LENGTH (1 << 20)
/* Of the registration, in either endpoint. */
#define PLACE 5
#define COMPLETIONS 8
#define SECOND INT64_C(1000000000)

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

struct side {
    int64_t endpoint;
    int64_t key;
    uint8_t *bytes;
    struct p2p_cxi_opening opening;
    struct p2p_cxi_found found;
    struct p2p_cxi_completion completions[COMPLETIONS];
};

/* A slot of io.uccl.p2p.spi.OpBuffer, as words. */
struct slot {
    int64_t words[16];
};

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
    slot.words[12] = (int64_t)(intptr_t)to->bytes;
    slot.words[13] = to->key;
    slot.words[14] = LENGTH;
    return slot;
}

static struct p2p_cxi_opening opening_of(const char *library, const char *provider)
{
    struct p2p_cxi_opening opening;
    memset(&opening, 0, sizeof(opening));
    snprintf(opening.library, sizeof(opening.library), "%s", library);
    snprintf(opening.provider, sizeof(opening.provider), "%s", provider);
    if (strcmp(provider, "cxi") == 0) {
        strcpy(opening.domain, "cxi0");
    } else {
        strcpy(opening.source, "127.0.0.1");
    }
    opening.threading = 1;
    opening.transmit_depth = 4096;
    opening.receive_depth = 4096;
    opening.completion_depth = 8192;
    return opening;
}

static bool open_side(struct side *side, const char *library, const char *provider)
{
    struct p2p_cxi_report report;
    memset(side, 0, sizeof(*side));
    side->opening = opening_of(library, provider);
    side->endpoint = p2p_cxi_open(&side->opening, &side->found, &report);
    if (side->endpoint <= 0) {
        printf("%s: %s\n", report.call, report.text);
        return false;
    }
    side->bytes = aligned_alloc(4096, LENGTH);
    memset(side->bytes, 0, LENGTH);
    int64_t result = p2p_cxi_register(side->endpoint, PLACE, (int64_t)(intptr_t)side->bytes, LENGTH,
                                      P2P_CXI_REMOTE_READ | P2P_CXI_REMOTE_WRITE,
                                      4711 + side->endpoint % 1000, P2P_CXI_HOST_MEMORY, 0,
                                      -1, &side->key, &report);
    if (result != 0) {
        printf("%s: %s\n", report.call, report.text);
    }
    return result == 0;
}

/* Drives both until the first has a completion; both, because a target may have to poll. */
static int64_t drive(struct side *side, struct side *other, struct p2p_cxi_report *report)
{
    time_t end = time(NULL) + 20;
    while (time(NULL) < end) {
        struct p2p_cxi_report unused;
        p2p_cxi_poll(other->endpoint, (int64_t)(intptr_t)other->completions, COMPLETIONS, &unused);
        int64_t n = p2p_cxi_poll(side->endpoint, (int64_t)(intptr_t)side->completions, COMPLETIONS,
                                 report);
        if (n != 0) {
            return n;
        }
        p2p_cxi_wait(side->endpoint, -1, 100000);
    }
    return 0;
}

/* Posts one operation; again while there is no room, as while a provider connects. */
static bool post(struct side *side, struct side *other, int64_t peer, struct slot *slot)
{
    struct p2p_cxi_report report;
    time_t end = time(NULL) + 20;
    int64_t taken = 0;
    while (taken == 0 && time(NULL) < end) {
        taken = p2p_cxi_post(side->endpoint, peer, 7, (int64_t)(intptr_t)slot, 1, &report);
        if (taken == 0) {
            p2p_cxi_poll(other->endpoint, (int64_t)(intptr_t)other->completions, COMPLETIONS,
                         &report);
            p2p_cxi_poll(side->endpoint, (int64_t)(intptr_t)side->completions, COMPLETIONS,
                         &report);
        }
    }
    return taken == 1;
}

static void moves_bytes(struct side *here, struct side *there, int64_t peer)
{
    struct p2p_cxi_report report;
    for (int i = 0; i < LENGTH; i++) {
        here->bytes[i] = (uint8_t)(i * 31 + i / 256);
    }
    struct slot write = slot_of(42, 1, here, LENGTH - 100, there, 100);
    check(post(here, there, peer, &write), "a write is taken");
    check(drive(here, there, &report) == 1, "the write completes");
    check(here->completions[0].id == 42 && here->completions[0].channel == 7 &&
              here->completions[0].error == 0,
          "with its id and channel, and well");
    check(memcmp(there->bytes + 100, here->bytes, LENGTH - 100) == 0, "its bytes are there");
    memset(here->bytes, 0, LENGTH);
    struct slot read = slot_of(43, 2, here, LENGTH - 100, there, 100);
    check(post(here, there, peer, &read), "a read is taken");
    check(drive(here, there, &report) == 1 && here->completions[0].error == 0, "it completes");
    check(memcmp(there->bytes + 100, here->bytes, LENGTH - 100) == 0, "its bytes are here");
}

static void addresses(const struct side *here, bool virtually)
{
    int mode = p2p_cxi_endpoint_of(here->endpoint)->info->domain_attr->mr_mode;
    check(((mode & FI_MR_VIRT_ADDR) != 0) == virtually,
          virtually ? "remote memory has virtual addresses" : "remote memory has offsets");
}

static void refuses_a_wrong_key(struct side *here, struct side *there, int64_t peer)
{
    struct p2p_cxi_report report;
    memset(&report, 0, sizeof(report));
    uint8_t before = there->bytes[0];
    here->bytes[0] = (uint8_t)(before + 1);
    struct slot wrong = slot_of(44, 1, here, 64, there, 0);
    wrong.words[13] ^= 1;
    check(post(here, there, peer, &wrong), "a write with a wrong key is taken");
    check(drive(here, there, &report) == 1 && here->completions[0].error > 0 &&
              here->completions[0].id == 44,
          "and fails");
    check(report.error == here->completions[0].error && report.call[0] != 0, "with a reason");
    check(there->bytes[0] == before, "and writes nothing");
}

static void memory_in_use_stays(struct side *here, struct side *there, int64_t peer)
{
    struct p2p_cxi_report report;
    struct slot write = slot_of(45, 1, here, LENGTH, there, 0);
    check(post(here, there, peer, &write), "a write is taken");
    check(p2p_cxi_close_memory(here->endpoint, PLACE, false, &report) == -EINPROGRESS,
          "its memory is not closed meanwhile");
    struct p2p_cxi_completion outstanding[2];
    check(p2p_cxi_outstanding(here->endpoint, (int64_t)(intptr_t)outstanding, 2) == 1 &&
              outstanding[0].id == 45 && outstanding[0].channel == 7 &&
              outstanding[0].error == ECANCELED,
          "it is outstanding");
    check(drive(here, there, &report) == 1, "the write ends");
    check(p2p_cxi_outstanding(here->endpoint, (int64_t)(intptr_t)outstanding, 2) == 0,
          "nothing is outstanding");
}

static void says_no(const char *library, const char *provider, struct side *here)
{
    struct p2p_cxi_report report;
    struct p2p_cxi_opening opening = opening_of(library, provider);
    struct p2p_cxi_found found;
    char names[64];
    uint8_t address[8] = {1};
    int64_t key;
    check(p2p_cxi_open(NULL, &found, &report) == -EINVAL, "open without an opening");
    check(p2p_cxi_open(&opening, &found, NULL) == -EINVAL, "open without a report");
    check(p2p_cxi_open(&opening, NULL, &report) == -EINVAL, "open without room for what is found");
    check(p2p_cxi_domains(&opening, &found, NULL, 1, &report) == -EINVAL, "domains without room");
    check(p2p_cxi_domains(&opening, &found, names, 1, &report) >= 1 && names[63] == 0, "domains");
    opening.threading = 9;
    check(p2p_cxi_open(&opening, &found, &report) == -EINVAL, "a threading model that is none");
    opening = opening_of(library, "no-such-provider");
    check(p2p_cxi_open(&opening, &found, &report) < 0 && report.error != 0 && report.call[0] != 0,
          "a provider that is not there");
    opening = opening_of("/nowhere/libfabric.so.1", provider);
    check(p2p_cxi_open(&opening, &found, &report) == -ENOENT && report.text[0] != 0,
          "a library that is not there");
    memset(opening.library, 'x', sizeof(opening.library));
    check(p2p_cxi_open(&opening, &found, &report) == -EINVAL, "a text without an end");
    check(p2p_cxi_close(0, &report) == -EINVAL, "close of nothing");
    check(p2p_cxi_close((int64_t)(intptr_t)&opening, &report) == -EINVAL, "close of something else");
    check(p2p_cxi_register(here->endpoint, 1, 0, 1, 0, 0, 0, 0, -1, &key, &report) == -EINVAL,
          "memory at 0");
    check(p2p_cxi_register(here->endpoint, 1, 4096, 0, 0, 0, 0, 0, -1, &key, &report) == -EINVAL,
          "memory without bytes");
    check(p2p_cxi_register(here->endpoint, 1, 4096, 1, 4, 0, 0, 0, -1, &key, &report) == -EINVAL,
          "rights that are none");
    check(p2p_cxi_register(here->endpoint, 1, 4096, 1, 0, 0, 9, 0, -1, &key, &report) == -EINVAL,
          "memory of no kind");
    check(p2p_cxi_register(here->endpoint, PLACE, 4096, 1, 0, 0, 0, 0, -1, &key, &report) == -EBUSY,
          "a place that is taken");
    check(p2p_cxi_register(here->endpoint, P2P_CXI_MEMORIES, 4096, 1, 0, 0, 0, 0, -1, &key,
                           &report) == -EINVAL,
          "a place that is none");
    check(p2p_cxi_close_memory(0, PLACE, false, &report) == -EINVAL, "close of memory of nothing");
    check(p2p_cxi_close_memory(here->endpoint, PLACE + 1, false, &report) == -ENOENT,
          "close of no memory");
    check(p2p_cxi_add_peer(here->endpoint, address, 1, &report) == -EINVAL, "a short address");
    check(p2p_cxi_add_peer(here->endpoint, NULL, 8, &report) == -EINVAL, "no address");
    check(p2p_cxi_remove_peer(here->endpoint, -1, &report) == -EINVAL, "no peer");
    struct slot none;
    memset(&none, 0, sizeof(none));
    check(p2p_cxi_post(here->endpoint, 0, 0, (int64_t)(intptr_t)&none, 1, &report) == -EINVAL,
          "a slot without memory");
    check(p2p_cxi_post(here->endpoint, 0, 0, 0, 1, &report) == -EINVAL, "no slots");
    check(p2p_cxi_post(here->endpoint, 0, 0, (int64_t)(intptr_t)&none, 0, &report) == 0,
          "no operations");
    check(p2p_cxi_poll(here->endpoint, 0, 1, &report) == -EINVAL, "no room for completions");
    check(p2p_cxi_outstanding(0, 8, 1) == -EINVAL, "outstanding of nothing");
    check(p2p_cxi_poll(0, 8, 1, &report) == -EINVAL, "poll of nothing");
    check(p2p_cxi_wait(0, -1, 1) == 0, "wait for nothing but the time");
    check(p2p_cxi_wait((int64_t)(intptr_t)&opening, -1, 1) == -EINVAL, "wait for something else");
    check(p2p_cxi_wait(here->endpoint, -1, -1) == -EINVAL, "a negative wait");
}

/* GPU memory is the host's here, called otherwise; only the simulated cxi provider takes it. */
static int64_t register_gpu(const struct side *side, int64_t index, int32_t dmabuf,
                            struct p2p_cxi_report *report)
{
    int64_t key;
    return p2p_cxi_register(side->endpoint, index, (int64_t)(intptr_t)side->bytes + 10, 100,
                            P2P_CXI_REMOTE_READ, 0, P2P_CXI_CUDA_MEMORY, 2, dmabuf, &key, report);
}

static void gpu_memory(const char *library, const char *provider, struct side *host_only)
{
    struct p2p_cxi_report report;
    check(register_gpu(host_only, 1, -1, &report) == -EOPNOTSUPP, "GPU memory is not the host's");
    if (strcmp(provider, "cxi") != 0) {
        return;
    }
    setenv("FI_CXI_SIM_GPU", "1", 1);
    struct side side;
    memset(&side, 0, sizeof(side));
    side.bytes = host_only->bytes;
    side.opening = opening_of(library, provider);
    side.opening.gpu_memory = 1;
    side.endpoint = p2p_cxi_open(&side.opening, &side.found, &report);
    check(side.endpoint > 0 && (side.found.bits & P2P_CXI_GPU_MEMORY) != 0, "GPU memory is taken");
    check(register_gpu(&side, 1, -1, &report) == 0, "by its address");
    setenv("FI_CXI_SIM_GPU_BY_DMABUF", "1", 1);
    check(register_gpu(&side, 2, -1, &report) == -EOPNOTSUPP, "or not so");
    check(register_gpu(&side, 2, 0, &report) == 0, "but by a dma-buf");
    check(p2p_cxi_close_memory(side.endpoint, 1, false, &report) == 0, "its registration is closed");
    check(p2p_cxi_close_memory(side.endpoint, 2, false, &report) == 0, "and the other one");
    check(p2p_cxi_close(side.endpoint, &report) == 0, "and the endpoint");
}

static void wakes(struct side *here)
{
    int wakeup = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    check(wakeup >= 0, "a wake-up that is given");
    time_t start = time(NULL);
    check(p2p_cxi_wait(here->endpoint, wakeup, 60 * SECOND) == 0, "ends a wait");
    check(time(NULL) - start < 30, "at once");
    check(p2p_cxi_wait(here->endpoint, wakeup, 1) == 0, "and is taken by it");
    close(wakeup);
}

static void handle_signal(int signal)
{
    (void)signal;
}

static void close_side(struct side *side, const char *what)
{
    struct p2p_cxi_report report;
    check(p2p_cxi_close_memory(side->endpoint, PLACE, false, &report) == 0, "the memory is closed");
    check(p2p_cxi_close(side->endpoint, &report) == 0, what);
    free(side->bytes);
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: p2p_cxi_driver LIBRARY PROVIDER\n");
        return 2;
    }
    struct sigaction mine;
    memset(&mine, 0, sizeof(mine));
    mine.sa_handler = handle_signal;
    sigaction(SIGSEGV, &mine, NULL);
    struct side here;
    struct side there;
    if (!open_side(&here, arguments[1], arguments[2]) ||
        !open_side(&there, arguments[1], arguments[2])) {
        return 1;
    }
    struct sigaction now;
    check(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == handle_signal,
          "the process's signal handlers stay");
    struct p2p_cxi_report report;
    int64_t peer = p2p_cxi_add_peer(here.endpoint, there.found.address,
                                    there.found.address_length, &report);
    check(peer >= 0, "a peer");
    says_no(arguments[1], arguments[2], &here);
    wakes(&here);
    gpu_memory(arguments[1], arguments[2], &here);
    moves_bytes(&here, &there, peer);
    memory_in_use_stays(&here, &there, peer);
    addresses(&here, strcmp(arguments[2], "shm") == 0);
    /* On shm such an operation never ends. */
    if (strcmp(arguments[2], "shm") != 0) {
        refuses_a_wrong_key(&here, &there, peer);
    }
    check(p2p_cxi_remove_peer(here.endpoint, peer, &report) == 0, "the peer is forgotten");
    close_side(&here, "the first endpoint is closed");
    close_side(&there, "the second endpoint is closed");
    printf("%s: %d checks, %d failed\n", arguments[2], checks, failures);
    return failures == 0 ? 0 : 1;
}
