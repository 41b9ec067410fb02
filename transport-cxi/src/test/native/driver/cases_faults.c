/* Faults on demand: by the environment, or set in the block of counts at run time. */
#include "driver.h"

static ssize_t post(struct pair *pair) {
  return fi_write(pair->initiator.ep, source, 8, NULL, pair->to, 0, fi_mr_key(pair->region),
                  source);
}

static void post_error_once(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  for (int i = 1; i <= 5; i++) {
    expect(post(&pair), i == 3 ? -FI_EIO : 0);
    if (i != 3) {
      expect(outcome(&pair, &error), 0);
    }
  }
  expect((long long)counts()->faults[SIM_FAULT_POST_ERROR].struck, 1);
  close_pair(&pair);
}

static void cq_error_every(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  for (int i = 1; i <= 6; i++) {
    expect(post(&pair), 0);
    expect(outcome(&pair, &error), i % 2 == 0 ? FI_EIO : 0);
    expect(i % 2 != 0 || error.prov_errno == 0x5104, true);
  }
  expect(counted(SIM_REMOTE_WRITES), 3);
  expect(counted(SIM_FAILURES), 3);
  close_pair(&pair);
}

static void lost_completion(void) {
  struct pair pair;
  struct fi_cq_msg_entry entry;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  expect(post(&pair), 0);
  while (counted(SIM_REMOTE_WRITES) == 0) {
    progress(&pair);
  }
  expect(post(&pair), 0);
  struct fi_cq_err_entry error = {0};
  expect(outcome(&pair, &error), 0);
  expect(fi_cq_read(pair.initiator.cq, &entry, 1), -FI_EAGAIN);
  expect(counted(SIM_WRITES), 2);
  expect(counted(SIM_COMPLETIONS), 1);
  close_pair(&pair);
}

static void endless_eagain(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  for (int i = 0; i < 2; i++) {
    expect(post(&pair), 0);
    expect(outcome(&pair, &error), 0);
  }
  for (int i = 0; i < 100; i++) {
    expect(post(&pair), -FI_EAGAIN);
  }
  expect(counted(SIM_EAGAINS), 100);
  close_pair(&pair);
}

static void device_gone(void) {
  struct pair pair;
  struct fid_eq *eq = NULL;
  struct fi_eq_attr attr = {.wait_obj = FI_WAIT_NONE};
  struct fi_eq_err_entry event = {0};
  struct fi_cq_err_entry error = {0};
  struct side next;
  uint32_t kind;
  open_side(&pair.target, (struct settings){0});
  open_side(&pair.initiator, (struct settings){.not_enabled = true});
  expect(fi_eq_open(pair.initiator.fabric, &attr, &eq, NULL), 0);
  expect(fi_ep_bind(pair.initiator.ep, &eq->fid, 0), 0);
  expect(fi_enable(pair.initiator.ep), 0);
  pair.to = insert(&pair.initiator, pair.target.address);
  pair.region = enabled_region(&pair.target, destination, REGION, FI_REMOTE_WRITE, 0);
  expect(fi_eq_read(eq, &kind, &event, sizeof event, 0), -FI_EAGAIN);
  expect(post(&pair), 0);
  expect(post(&pair), 0);
  expect(post(&pair), -FI_ENODEV);
  expect(post(&pair), -FI_ENODEV);
  /* What was under way fails, and nothing is left of it. */
  for (int i = 0; i < 2; i++) {
    expect(outcome(&pair, &error), FI_EIO);
    expect(error.prov_errno, 0x5105);
  }
  expect(fi_eq_read(eq, &kind, &event, sizeof event, 0), -FI_EAVAIL);
  expect(fi_eq_readerr(eq, &event, 0), sizeof event);
  expect(event.fid == &pair.initiator.ep->fid, true);
  /* A fresh endpoint works. */
  open_side(&next, (struct settings){0});
  struct side dead = pair.initiator;
  pair.initiator = next;
  pair.to = insert(&pair.initiator, pair.target.address);
  expect(write_outcome(&pair, 8, 0, fi_mr_key(pair.region)), 0);
  expect(fi_close(&dead.ep->fid), 0);
  expect(fi_close(&eq->fid), 0);
  expect(fi_endpoint(dead.domain, dead.info, &dead.ep, NULL), 0);
  close_side(&dead);
  close_pair(&pair);
}

static void registration(void) {
  struct side side;
  struct fid_mr *region = NULL;
  static char memory[64];
  open_side(&side, (struct settings){0});
  expect(fi_mr_reg(side.domain, memory, 64, FI_REMOTE_READ, 0, 0, 0, &region, NULL), -FI_ENOMEM);
  region = enabled_region(&side, memory, 64, FI_REMOTE_READ, 0);
  expect(fi_close(&region->fid), 0);
  close_side(&side);
}

static void at_run_time(void) {
  struct pair pair;
  struct fi_cq_err_entry error = {0};
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  expect((long long)counts()->magic, (long long)SIM_COUNTS_MAGIC);
  expect(post(&pair), 0);
  expect(outcome(&pair, &error), 0);
  set_fault(SIM_FAULT_POST_ERROR, SIM_EVERY, 1);
  expect(post(&pair), -FI_EIO);
  set_fault(SIM_FAULT_POST_ERROR, SIM_OFF, 0);
  expect(post(&pair), 0);
  expect(outcome(&pair, &error), 0);
  close_pair(&pair);
}

static void region_close(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  expect(fi_close(&pair.region->fid), -FI_EBUSY);
  expect(write_outcome(&pair, 8, 0, fi_mr_key(pair.region)), 0);
  expect(fi_close(&pair.region->fid), 0);
  pair.region = NULL;
  close_pair(&pair);
}

const struct test_case fault_cases[] = {
    {"one post fails", post_error_once, {"FI_CXI_SIM_FAULT_POST_ERROR", "at:3", NULL}},
    {"every second operation fails", cq_error_every, {"FI_CXI_SIM_FAULT_CQ_ERROR", "every:2", NULL}},
    {"a completion is lost", lost_completion, {"FI_CXI_SIM_FAULT_LOST_COMPLETION", "at:1", NULL}},
    {"EAGAIN without end", endless_eagain, {"FI_CXI_SIM_FAULT_EAGAIN", "after:2", NULL}},
    {"the device is gone, and a fresh endpoint works",
     device_gone,
     {"FI_CXI_SIM_FAULT_GONE", "at:3", NULL}},
    {"a region cannot be closed", region_close, {"FI_CXI_SIM_FAULT_REGION_CLOSE", "at:1", NULL}},
    {"a registration fails", registration, {"FI_CXI_SIM_FAULT_REGISTRATION", "at:1", NULL}},
    {"a fault is set at run time through the file of counts", at_run_time, {NULL}},
    {NULL, NULL, {NULL}},
};
