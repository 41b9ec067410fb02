/* What surprises users of cxi: closed regions that can be reached, descriptors that are ignored. */
#include "driver.h"

#include <pthread.h>
#include <rdma/fi_cxi_ext.h>
#include <sys/mman.h>

static char memory[3 << 16];

/* A cached key, as it is when nobody turned the cache off. */
static void cached_key_lingers(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  struct fid_mr *region = enabled_region(&pair.target, memory, 64, FI_REMOTE_WRITE, 0);
  uint64_t key = fi_mr_key(region);
  expect(fi_close(&region->fid), 0);
  expect(counted(SIM_MRS), 1);
  expect(counted(SIM_LINGERING), 1);
  expect(write_outcome(&pair, 64, 0, key), 0);
  expect(memcmp(memory, source, 64), 0);
  expect(counted(SIM_LATE_ACCESSES), 1);
  /* Until the last region of the entry is closed. */
  expect(fi_close(&pair.region->fid), 0);
  pair.region = NULL;
  expect(counted(SIM_LINGERING), 0);
  expect(provider_error(&pair, 64, 0, key), 0x5101);
  close_pair(&pair);
}

static void cached_key_strays(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  struct fid_mr *one = enabled_region(&pair.target, memory, 64, FI_REMOTE_READ, 0);
  struct fid_mr *other = enabled_region(&pair.target, memory + 4096, 64, FI_REMOTE_READ, 0);
  /* Past the end of one, into the other, and without the right to write. */
  expect(write_outcome(&pair, 64, 4096, fi_mr_key(one)), 0);
  expect(memcmp(memory + 4096, source, 64), 0);
  expect(counted(SIM_STRAY_ACCESSES), 1);
  expect(fi_close(&one->fid), 0);
  expect(fi_close(&other->fid), 0);
  close_pair(&pair);
}

/* The owner unmapped it: an error at the initiator, not the end of the target's process. */
static void unmapped_memory(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  char *mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(mapped != MAP_FAILED, true);
  struct fid_mr *region = enabled_region(&pair.target, mapped, 4096, FI_REMOTE_WRITE, 0);
  uint64_t key = fi_mr_key(region);
  expect(fi_close(&region->fid), 0);
  expect(munmap(mapped, 4096), 0);
  expect(write_outcome(&pair, 64, 0, key), FI_EIO);
  expect(read_outcome(&pair, 64, 0, key), FI_EIO);
  close_pair(&pair);
}

static void cache_settings(void) {
  struct side side;
  bool value = false;
  open_side(&side, (struct settings){0});
  struct fid *domain = &side.domain->fid;
  expect(fi_control(domain, FI_OPT_CXI_GET_PROV_KEY_CACHE, &value), 0);
  expect(value, true);
  expect(fi_control(domain, FI_OPT_CXI_GET_OPTIMIZED_MRS, &value), 0);
  expect(value, true);
  expect(fi_control(domain, FI_OPT_CXI_GET_MR_MATCH_EVENTS, &value), 0);
  expect(value, false);
  value = false;
  expect(fi_control(domain, FI_OPT_CXI_SET_PROV_KEY_CACHE, &value), 0);
  expect(fi_control(domain, FI_OPT_CXI_SET_OPTIMIZED_MRS, &value), 0);
  value = true;
  expect(fi_control(domain, FI_OPT_CXI_SET_MR_MATCH_EVENTS, &value), 0);
  value = false;
  expect(fi_control(domain, FI_OPT_CXI_GET_MR_MATCH_EVENTS, &value), 0);
  expect(value, true);
  expect(fi_control(domain, FI_OPT_CXI_GET_PROV_KEY_CACHE, &value), 0);
  expect(value, false);
  expect(fi_control(domain, FI_OPT_CXI_SET_PROV_KEY_CACHE, NULL), -FI_EINVAL);
  close_side(&side);
  open_side(&side, (struct settings){.client_keys = true});
  domain = &side.domain->fid;
  expect(fi_control(domain, FI_OPT_CXI_SET_PROV_KEY_CACHE, &value), -FI_EINVAL);
  expect(fi_control(domain, FI_OPT_CXI_SET_OPTIMIZED_MRS, &value), -FI_EINVAL);
  expect(fi_control(domain, FI_OPT_CXI_SET_MR_MATCH_EVENTS, &value), 0);
  close_side(&side);
}

static void key_cache_off(void) {
  struct pair pair;
  bool off = false;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  expect(fi_control(&pair.target.domain->fid, FI_OPT_CXI_SET_PROV_KEY_CACHE, &off), 0);
  struct fid_mr *region = enabled_region(&pair.target, memory, 64, FI_REMOTE_WRITE, 0);
  uint64_t key = fi_mr_key(region);
  expect(fi_close(&region->fid), 0);
  expect(counted(SIM_LINGERING), 0);
  expect(provider_error(&pair, 64, 0, key), 0x5101);
  close_pair(&pair);
}

static void old_library(void) {
  struct side side;
  bool on = true;
  void *ops = NULL;
  open_side(&side, (struct settings){0});
  expect(fi_control(&side.domain->fid, FI_OPT_CXI_SET_MR_MATCH_EVENTS, &on), -FI_EINVAL);
  expect(fi_open_ops(&side.domain->fid, FI_CXI_DOM_OPS_6, 0, &ops, NULL), -FI_EINVAL);
  close_side(&side);
}

/* A write of which the target took some pieces, and of which others are still to come. */
static void begin_write(struct pair *pair) {
  write_to(pair, source, REGION, 0, fi_mr_key(pair->region), source);
  while (destination[0] == 0) {
    progress(pair);
  }
  expect(destination[REGION - 1], 0);
}

static void late_bytes(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  bool on = true;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  /* Too late for a region that is registered already. */
  expect(fi_control(&pair.target.domain->fid, FI_OPT_CXI_SET_MR_MATCH_EVENTS, &on), 0);
  uint64_t key = fi_mr_key(pair.region);
  begin_write(&pair);
  expect(fi_close(&pair.region->fid), 0);
  pair.region = NULL;
  expect(counted(SIM_LINGERING), 1);
  /* A new operation is refused, the one under way goes on. */
  expect(destination[REGION - 1], 0);
  expect(outcome(&pair, &error), 0);
  expect(memcmp(destination, source, REGION), 0);
  expect(counted(SIM_LATE_ACCESSES) > 0, true);
  expect(counted(SIM_LINGERING), 0);
  expect(provider_error(&pair, 8, 0, key), 0x5101);
  close_pair(&pair);
}

static void no_late_bytes(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  static char then[REGION];
  open_pair(&pair, (struct settings){0}, (struct settings){.match_events = true});
  begin_write(&pair);
  /* The initiator does not move meanwhile, so the close cuts the write off. */
  expect(fi_close(&pair.region->fid), 0);
  pair.region = NULL;
  expect(counted(SIM_CLOSES_WAITED), 1);
  expect(counted(SIM_CLOSES_CUT), 1);
  memcpy(then, destination, REGION);
  expect(outcome(&pair, &error), FI_EIO);
  expect(error.prov_errno, 0x5101);
  expect(memcmp(then, destination, REGION), 0);
  expect(counted(SIM_LATE_ACCESSES), 0);
  close_pair(&pair);
}

static void close_waits(void) {
  struct pair pair;
  struct side any;
  struct fi_cq_err_entry error = {0};
  static char others[REGION];
  /* Both in one domain: the close moves the initiator too. */
  open_pair(&pair, (struct settings){.in_domain_of = &any}, (struct settings){.match_events = true});
  begin_write(&pair);
  /* One that follows at once, and is too late. */
  write_to(&pair, others, REGION, 0, fi_mr_key(pair.region), others);
  expect(fi_close(&pair.region->fid), 0);
  pair.region = NULL;
  expect(memcmp(destination, source, REGION), 0);
  expect(counted(SIM_CLOSES_WAITED), 1);
  expect(counted(SIM_CLOSES_CUT), 0);
  expect(outcome(&pair, &error), 0);
  expect(outcome(&pair, &error), FI_EIO);
  expect(error.op_context == others, true);
  expect(memcmp(destination, source, REGION), 0);
  close_pair(&pair);
}

/* --- writers that never stop --- */

enum { WRITERS = 4, PIECES = 4 * 65536, ROUNDS = 40, ROUNDS_MOST = 4000 };

struct writer {
  struct side side;
  fi_addr_t to;
  const _Atomic uint64_t *key;
  _Atomic bool stop;
  pthread_t thread;
};

static void *write_on(void *argument) {
  struct writer *writer = argument;
  struct fi_cq_msg_entry entry;
  struct fi_cq_err_entry error = {0};
  while (!writer->stop) {
    ssize_t status;
    expect(fi_write(writer->side.ep, source, PIECES, NULL, writer->to, 0, *writer->key, NULL), 0);
    while ((status = fi_cq_sread(writer->side.cq, &entry, 1, NULL, 20)) == -FI_EAGAIN &&
           !writer->stop) {
    }
    if (status == -FI_EAVAIL) {
      expect(fi_cq_readerr(writer->side.cq, &error, 0), 1);
      expect(error.prov_errno, 0x5101);
    }
  }
  return NULL;
}

static bool is_zero(const char *from, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (from[i] != 0) {
      return false;
    }
  }
  return true;
}

/* Closes a region while writers are at it: whether a byte of it changed afterwards. */
static bool changes_after_close(struct side *target, _Atomic uint64_t *key) {
  struct fid_mr *region = enabled_region(target, destination, PIECES, FI_REMOTE_WRITE, 0);
  long long written = counted(SIM_REMOTE_WRITES);
  *key = fi_mr_key(region);
  while (counted(SIM_REMOTE_WRITES) < written + 10) {
    expect(fi_cq_read(target->cq, NULL, 0), -FI_EAGAIN);
  }
  expect(fi_close(&region->fid), 0);
  memset(destination, 0, PIECES);
  long long refused = counted(SIM_REFUSED_KEY);
  while (counted(SIM_REFUSED_KEY) < refused + WRITERS) {
    expect(fi_cq_read(target->cq, NULL, 0), -FI_EAGAIN);
  }
  return !is_zero(destination, PIECES);
}

/* How many of the rounds saw a change; ends with the first one when one is looked for. */
static int rounds_with_changes(bool match_events) {
  struct side target;
  static struct writer writers[WRITERS];
  _Atomic uint64_t key = 1ull << 63;
  int changed = 0;
  fill(1);
  open_side(&target, (struct settings){.match_events = match_events});
  for (int i = 0; i < WRITERS; i++) {
    open_side(&writers[i].side, (struct settings){0});
    writers[i].to = insert(&writers[i].side, target.address);
    writers[i].key = &key;
    expect(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
  }
  for (int i = 0; i < (match_events ? ROUNDS : ROUNDS_MOST) && changed == 0; i++) {
    changed += changes_after_close(&target, &key) ? 1 : 0;
  }
  for (int i = 0; i < WRITERS; i++) {
    writers[i].stop = true;
    expect(pthread_join(writers[i].thread, NULL), 0);
    close_side(&writers[i].side);
  }
  close_side(&target);
  return changed;
}

static void closed_under_writers(void) {
  expect(rounds_with_changes(true), 0);
  expect(counted(SIM_LATE_ACCESSES), 0);
  expect(counted(SIM_CLOSES_WAITED) > 0, true);
  expect(counted(SIM_CLOSES_CUT), 0);
}

static void closed_under_writers_too_early(void) {
  expect(rounds_with_changes(false), 1);
  expect(counted(SIM_LATE_ACCESSES) > 0, true);
}

static ssize_t write_with(struct pair *pair, void *descriptor, const char *from) {
  return fi_write(pair->initiator.ep, from, 8, descriptor, pair->to, 0, fi_mr_key(pair->region),
                  NULL);
}

static void descriptor_ignored(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  struct fid_mr *local = enabled_region(&pair.initiator, source, 64, FI_WRITE, 0);
  expect(write_with(&pair, fi_mr_desc(local), source), 0);
  expect(outcome(&pair, &error), 0);
  expect(counted(SIM_DESCRIPTORS_IGNORED), 1);
  expect(counted(SIM_INTERNAL_MAPPINGS), 1);
  expect(counted(SIM_DESCRIPTORS_USED), 0);
  expect(fi_close(&local->fid), 0);
  close_pair(&pair);
}

static void descriptor_used(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  open_pair(&pair, (struct settings){.hybrid = true}, (struct settings){0});
  struct fid_mr *local = enabled_region(&pair.initiator, source, 64, FI_WRITE, 0);
  void *descriptor = fi_mr_desc(local);
  expect(write_with(&pair, descriptor, source), 0);
  expect(outcome(&pair, &error), 0);
  expect(counted(SIM_DESCRIPTORS_USED), 1);
  expect(counted(SIM_INTERNAL_MAPPINGS), 0);
  expect(write_with(&pair, NULL, source), 0);
  expect(outcome(&pair, &error), 0);
  expect(counted(SIM_INTERNAL_MAPPINGS), 1);
  /* Not of this buffer, closed, or nothing at all. */
  expect(write_with(&pair, descriptor, source + 57), -FI_EINVAL);
  expect(fi_close(&local->fid), 0);
  expect(write_with(&pair, descriptor, source), -FI_EINVAL);
  expect(write_with(&pair, &pair, source), -FI_EINVAL);
  expect(counted(SIM_DESCRIPTORS_BAD), 3);
  expect(counted(SIM_DESCRIPTORS_IGNORED), 0);
  close_pair(&pair);
}

const struct test_case trap_cases[] = {
    {"with the MR cache on a closed region is still reached",
     cached_key_lingers,
     {"FI_MR_CACHE_MONITOR", "memhooks", NULL}},
    {"with the MR cache on a key reaches other regions",
     cached_key_strays,
     {"FI_MR_CACHE_MONITOR", "memhooks", NULL}},
    {"a closed region that was unmapped fails the operation",
     unmapped_memory,
     {"FI_MR_CACHE_MONITOR", "memhooks", NULL}},
    {"the domain's settings are read and set, some with provider keys only",
     cache_settings,
     {NULL}},
    {"with the key cache off a closed region is not reached",
     key_cache_off,
     {"FI_MR_CACHE_MONITOR", "memhooks", NULL}},
    {"an old library has no such settings", old_library, {"FI_CXI_SIM_OLD", "1", NULL}},
    {"without match events at its registration a write to a region goes on after its close",
     late_bytes,
     {NULL}},
    {"regions closed under four writers take no byte afterwards",
     closed_under_writers,
     {"FI_CXI_SIM_MATCH_WAIT_MS", "10000", NULL}},
    {"without match events they do", closed_under_writers_too_early, {NULL}},
    {"with match events no byte arrives after the close",
     no_late_bytes,
     {"FI_CXI_SIM_MATCH_WAIT_MS", "20", NULL}},
    {"with match events the close waits for a write under way, and takes no other", close_waits,
     {"FI_CXI_SIM_MATCH_WAIT_MS", "60000", NULL}},
    {"without hybrid mode a descriptor is ignored and counted", descriptor_ignored, {NULL}},
    {"in hybrid mode a descriptor is used, and must be of the buffer", descriptor_used, {NULL}},
    {NULL, NULL, {NULL}},
};
