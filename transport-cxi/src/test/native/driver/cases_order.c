/* In which order objects are closed, and what counts of them are left. */
#include "driver.h"

#include <time.h>

static void close_order(void) {
  struct side side;
  struct fid_eq *eq = NULL;
  struct fi_eq_attr attr = {.wait_obj = FI_WAIT_NONE};
  static char memory[64];
  open_side(&side, (struct settings){.not_enabled = true});
  expect(fi_eq_open(side.fabric, &attr, &eq, NULL), 0);
  expect(fi_ep_bind(side.ep, &eq->fid, 0), 0);
  expect(fi_enable(side.ep), 0);
  struct fid_mr *region = enabled_region(&side, memory, sizeof memory, FI_REMOTE_READ, 0);
  expect(fi_close(&side.fabric->fid), -FI_EBUSY);
  expect(fi_close(&side.domain->fid), -FI_EBUSY);
  expect(fi_close(&side.cq->fid), -FI_EBUSY);
  expect(fi_close(&side.av->fid), -FI_EBUSY);
  expect(fi_close(&eq->fid), -FI_EBUSY);
  expect(fi_close(&side.ep->fid), -FI_EBUSY);
  expect(fi_close(&region->fid), 0);
  expect(fi_close(&side.ep->fid), 0);
  expect(fi_close(&side.domain->fid), -FI_EBUSY);
  expect(fi_close(&side.av->fid), 0);
  expect(fi_close(&side.domain->fid), -FI_EBUSY);
  expect(fi_close(&side.cq->fid), 0);
  expect(fi_close(&side.domain->fid), 0);
  expect(fi_close(&side.fabric->fid), -FI_EBUSY);
  expect(fi_close(&eq->fid), 0);
  expect(fi_close(&side.fabric->fid), 0);
  fi_freeinfo(side.info);
}

static void objects_counted(void) {
  struct pair pair;
  for (int i = 0; i < 5; i++) {
    open_pair(&pair, (struct settings){0}, (struct settings){0});
    expect(counted(SIM_FABRICS), 2);
    expect(counted(SIM_DOMAINS), 2);
    expect(counted(SIM_CQS), 2);
    expect(counted(SIM_AVS), 2);
    expect(counted(SIM_ENDPOINTS), 2);
    expect(counted(SIM_MRS), 1);
    expect(write_outcome(&pair, 8, 0, fi_mr_key(pair.region)), 0);
    close_pair(&pair);
    for (int counter = SIM_FABRICS; counter <= SIM_LINGERING; counter++) {
      expect(counted((enum sim_counter)counter), 0);
    }
  }
  expect(counted(SIM_WRITES), 5);
  expect(counted(SIM_COMPLETIONS), 5);
}

/* Whatever is under way: the buffers are the caller's again afterwards. */
static void close_in_flight(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  uint64_t key = fi_mr_key(pair.region);
  for (int i = 0; i < 50; i++) {
    write_to(&pair, source, 100000, 0, key, NULL);
  }
  progress(&pair);
  close_side(&pair.initiator);
  expect(fi_cq_read(pair.target.cq, NULL, 0), -FI_EAGAIN);
  expect(fi_close(&pair.region->fid), 0);
  close_side(&pair.target);
  expect(counted(SIM_ENDPOINTS), 0);
}

static void bound_once(void) {
  struct side side;
  open_side(&side, (struct settings){.not_enabled = true});
  expect(fi_ep_bind(side.ep, &side.av->fid, 0), -FI_EINVAL);
  expect(fi_ep_bind(side.ep, &side.cq->fid, FI_TRANSMIT), -FI_EINVAL);
  struct fid_ep *bare = NULL;
  expect(fi_endpoint(side.domain, side.info, &bare, NULL), 0);
  expect(fi_enable(bare), -FI_ENOCQ);
  expect(fi_ep_bind(bare, &side.cq->fid, FI_TRANSMIT), 0);
  expect(fi_enable(bare), -FI_ENOAV);
  expect(fi_close(&bare->fid), 0);
  close_side(&side);
}

static void no_counters(void) {
  struct side side;
  struct fid_cntr *counter = NULL;
  struct fi_cntr_attr attr = {0};
  open_side(&side, (struct settings){0});
  expect(fi_cntr_open(side.domain, &attr, &counter, NULL), -FI_ENOSYS);
  close_side(&side);
}

static void slow_close(void) {
  struct side side;
  struct timespec before;
  struct timespec after;
  open_side(&side, (struct settings){0});
  clock_gettime(CLOCK_MONOTONIC, &before);
  expect(fi_close(&side.ep->fid), 0);
  clock_gettime(CLOCK_MONOTONIC, &after);
  long long took =
      (after.tv_sec - before.tv_sec) * 1000LL + (after.tv_nsec - before.tv_nsec) / 1000000;
  expect(took >= 59, true);
  expect(fi_endpoint(side.domain, side.info, &side.ep, NULL), 0);
  close_side(&side);
}

const struct test_case order_cases[] = {
    {"closing is region, endpoint, queues and vectors, domain, fabric; else EBUSY",
     close_order,
     {NULL}},
    {"live objects are counted and go back to none", objects_counted, {NULL}},
    {"an endpoint with operations in flight can be closed", close_in_flight, {NULL}},
    {"an endpoint needs a queue and a vector, once", bound_once, {NULL}},
    {"counters are not simulated", no_counters, {NULL}},
    {"closing an endpoint takes as long as was asked for",
     slow_close,
     {"FI_CXI_SIM_CLOSE_MS", "60", NULL}},
    {NULL, NULL, {NULL}},
};
