/* Drives the core. Prints the first check that does not hold and exits with 1, else exits with 0. */
#define _DEFAULT_SOURCE

#include "p2p_check.h"
#include "p2p_memory.h"
#include "p2p_wakeup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile unsigned char *bytes(int64_t address)
{
    return (volatile unsigned char *)(intptr_t)address;
}

/* mincore(2) knows only mapped pages. */
static int is_mapped(int64_t address)
{
    unsigned char vector = 0;
    return mincore((void *)(intptr_t)address, 1, &vector) == 0;
}

static void lengths_round_up_to_pages(int64_t page)
{
    const int64_t lengths[] = {1, 2, page - 1, page, page + 1, 3 * page - 1, INT64_C(64) << 20};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int64_t length = lengths[i];
        int64_t address = p2p_memory_map(length);
        CHECK(address > 0);
        CHECK(address % page == 0);
        CHECK(bytes(address)[0] == 0);
        CHECK(bytes(address)[length - 1] == 0);
        bytes(address)[0] = 0xA5;
        bytes(address)[length - 1] = 0x5A;
        CHECK(p2p_memory_discard(address, length) == 0);
        CHECK(bytes(address)[0] == 0);
        CHECK(bytes(address)[length - 1] == 0);
        CHECK(p2p_memory_unmap(address, length) == 0);
        CHECK(!is_mapped(address));
    }
}

static void more_than_4_gib(void)
{
    int64_t length = (INT64_C(1) << 32) + 4097;
    int64_t address = p2p_memory_map(length);
    CHECK(address > 0);
    bytes(address)[length - 1] = 7;
    CHECK(bytes(address)[4096] == 0);
    CHECK(p2p_memory_discard(address, length) == 0);
    CHECK(bytes(address)[length - 1] == 0);
    CHECK(p2p_memory_unmap(address, length) == 0);
}

static void discard_gives_locked_pages_back(int64_t page)
{
    int64_t address = p2p_memory_map(2 * page);
    CHECK(address > 0);
    bytes(address)[page] = 9;
    if (mlock((void *)(intptr_t)address, (size_t)(2 * page)) == 0) {
        CHECK(p2p_memory_discard(address, 2 * page) == 0);
        CHECK(bytes(address)[page] == 0);
    } else {
        CHECK(errno == ENOMEM || errno == EPERM || errno == EAGAIN);
    }
    CHECK(p2p_memory_unmap(address, 2 * page) == 0);
}

static void every_input_has_an_answer(int64_t page)
{
    const int64_t bad_lengths[] = {0, -1, -page, INT64_MIN};
    int64_t address = p2p_memory_map(page);
    CHECK(address > 0);
    for (size_t i = 0; i < sizeof bad_lengths / sizeof bad_lengths[0]; i++) {
        CHECK(p2p_memory_map(bad_lengths[i]) == -EINVAL);
        CHECK(p2p_memory_discard(address, bad_lengths[i]) == -EINVAL);
        CHECK(p2p_memory_unmap(address, bad_lengths[i]) == -EINVAL);
    }
    const int64_t bad_addresses[] = {0, 1, -1, -page, address + 1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < sizeof bad_addresses / sizeof bad_addresses[0]; i++) {
        CHECK(p2p_memory_discard(bad_addresses[i], page) == -EINVAL);
        CHECK(p2p_memory_unmap(bad_addresses[i], page) == -EINVAL);
    }
    CHECK(p2p_memory_discard(address, INT64_MAX) == -EINVAL);
    CHECK(p2p_memory_unmap(address, INT64_MAX) == -EINVAL);
    CHECK(p2p_memory_map(INT64_C(1) << 62) == -ENOMEM);
    CHECK(p2p_memory_map(INT64_MAX) == -ENOMEM);
    CHECK(is_mapped(address));
    CHECK(p2p_memory_unmap(address, page) == 0);
    CHECK(p2p_memory_discard(address, page) == -ENOMEM);
}

static void a_wake_up_is_given_and_read(void)
{
    int64_t wakeup = p2p_wakeup_open();
    CHECK(wakeup >= 0);
    CHECK((fcntl((int)wakeup, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(p2p_wakeup_give((int32_t)wakeup) == 0);
    CHECK(p2p_wakeup_give((int32_t)wakeup) == 0);
    uint64_t given = 0;
    CHECK(read((int)wakeup, &given, sizeof(given)) == (ssize_t)sizeof(given) && given == 2);
    CHECK(read((int)wakeup, &given, sizeof(given)) < 0 && errno == EAGAIN);
    CHECK(p2p_wakeup_close((int32_t)wakeup) == 0);
    CHECK(p2p_wakeup_give(-1) == -EBADF);
    CHECK(p2p_wakeup_close(-1) == -EBADF);
}

int main(void)
{
    int64_t page = p2p_memory_page_size();
    CHECK(page >= 4096 && (page & (page - 1)) == 0);
    lengths_round_up_to_pages(page);
    more_than_4_gib();
    discard_gives_locked_pages_back(page);
    every_input_has_an_answer(page);
    a_wake_up_is_given_and_read();
    return 0;
}
