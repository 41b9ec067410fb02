/* Two endpoints in one process, and what a case does with them. */
#include "driver.h"

#include <fcntl.h>
#include <rdma/fi_cxi_ext.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

char source[REGION];
char destination[REGION];

void expect_equal(const char *file, int line, const char *what, long long actual,
                  long long expected) {
  if (actual != expected) {
    printf("  %s:%d: %s is %lld (%s), not %lld (%s)\n", file, line, what, actual,
           actual < 0 && actual > -1000 ? fi_strerror((int)-actual) : "-", expected,
           expected < 0 && expected > -1000 ? fi_strerror((int)-expected) : "-");
    fflush(NULL);
    _exit(1);
  }
}

struct fi_info *hints(void) {
  struct fi_info *made = fi_allocinfo();
  expect(made != NULL, true);
  made->caps = FI_RMA;
  made->ep_attr->type = FI_EP_RDM;
  made->domain_attr->mr_mode = FI_MR_ENDPOINT | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
  made->fabric_attr->prov_name = strdup("cxi");
  return made;
}

static struct fi_info *describe_with(const char *domain, struct settings settings) {
  struct fi_info *wanted = hints();
  struct fi_info *info = NULL;
  wanted->domain_attr->name = strdup(domain);
  wanted->caps |= settings.hmem ? FI_HMEM : 0;
  wanted->tx_attr->size = settings.tx_size;
  if (settings.client_keys) {
    wanted->domain_attr->mr_mode = FI_MR_ENDPOINT | FI_MR_ALLOCATED;
  }
  expect(fi_getinfo(FI_VERSION(2, 1), NULL, NULL, 0, wanted, &info), 0);
  fi_freeinfo(wanted);
  return info;
}

struct fi_info *describe(const char *domain, bool provider_keys) {
  return describe_with(domain, (struct settings){.client_keys = !provider_keys});
}

static void set_domain(struct side *side, struct settings settings) {
  struct fi_cxi_dom_ops *extension = NULL;
  if (settings.hybrid) {
    expect(fi_open_ops(&side->domain->fid, FI_CXI_DOM_OPS_6, 0, (void **)&extension, NULL), 0);
    expect(extension->enable_hybrid_mr_desc(&side->domain->fid, true), 0);
  }
  bool on = true;
  if (settings.match_events) {
    expect(fi_control(&side->domain->fid, FI_OPT_CXI_SET_MR_MATCH_EVENTS, &on), 0);
  }
}

void open_side(struct side *side, struct settings settings) {
  struct fi_cq_attr cq = {
      .size = settings.cq_size, .format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_FD};
  struct fi_av_attr av = {.type = FI_AV_TABLE};
  size_t length = sizeof side->address;
  memset(side, 0, sizeof *side);
  side->info = describe_with("cxi0", settings);
  if (settings.in_domain_of == NULL) {
    expect(fi_fabric(side->info->fabric_attr, &side->fabric, NULL), 0);
    expect(fi_domain(side->fabric, side->info, &side->domain, NULL), 0);
  } else {
    side->domain = settings.in_domain_of->domain;
  }
  set_domain(side, settings);
  expect(fi_cq_open(side->domain, &cq, &side->cq, NULL), 0);
  expect(fi_av_open(side->domain, &av, &side->av, NULL), 0);
  expect(fi_endpoint(side->domain, side->info, &side->ep, NULL), 0);
  expect(fi_ep_bind(side->ep, &side->cq->fid,
                    FI_TRANSMIT | FI_RECV | (settings.selective ? FI_SELECTIVE_COMPLETION : 0)),
         0);
  expect(fi_ep_bind(side->ep, &side->av->fid, 0), 0);
  if (!settings.not_enabled) {
    expect(fi_enable(side->ep), 0);
    expect(fi_getname(&side->ep->fid, side->address, &length), 0);
    expect(length, 8);
  }
}

void close_side(struct side *side) {
  expect(fi_close(&side->ep->fid), 0);
  expect(fi_close(&side->av->fid), 0);
  expect(fi_close(&side->cq->fid), 0);
  if (side->fabric != NULL) {
    expect(fi_close(&side->domain->fid), 0);
    expect(fi_close(&side->fabric->fid), 0);
  }
  fi_freeinfo(side->info);
}

fi_addr_t insert(struct side *side, const uint8_t *address) {
  fi_addr_t index = FI_ADDR_NOTAVAIL;
  expect(fi_av_insert(side->av, address, 1, &index, 0, NULL), 1);
  return index;
}

struct fid_mr *enabled_region(struct side *side, void *base, size_t length, uint64_t access,
                              uint64_t key) {
  struct fid_mr *region = NULL;
  expect(fi_mr_reg(side->domain, base, length, access, 0, key, 0, &region, NULL), 0);
  expect(fi_mr_bind(region, &side->ep->fid, 0), 0);
  expect(fi_mr_enable(region), 0);
  return region;
}

void open_pair(struct pair *pair, struct settings initiator, struct settings target) {
  open_side(&pair->target, target);
  if (initiator.in_domain_of != NULL) {
    initiator.in_domain_of = &pair->target;
  }
  open_side(&pair->initiator, initiator);
  pair->to = insert(&pair->initiator, pair->target.address);
  pair->region =
      enabled_region(&pair->target, destination, REGION, FI_REMOTE_READ | FI_REMOTE_WRITE, 7);
  fill(1);
}

void close_pair(struct pair *pair) {
  if (pair->region != NULL) {
    expect(fi_close(&pair->region->fid), 0);
  }
  close_side(&pair->initiator);
  close_side(&pair->target);
}

void fill(unsigned seed) {
  for (size_t i = 0; i < REGION; i++) {
    source[i] = (char)(1 + (i * 131 + i / 251 + seed) % 255);
  }
  memset(destination, 0, REGION);
}

void progress(struct pair *pair) {
  expect(fi_cq_read(pair->target.cq, NULL, 0), -FI_EAGAIN);
  ssize_t ready = fi_cq_read(pair->initiator.cq, NULL, 0);
  expect(ready == 0 || ready == -FI_EAGAIN, true);
}

void write_to(struct pair *pair, const void *from, size_t length, uint64_t offset, uint64_t key,
              void *context) {
  expect(fi_write(pair->initiator.ep, from, length, NULL, pair->to, offset, key, context), 0);
}

int outcome(struct pair *pair, struct fi_cq_err_entry *error) {
  struct fi_cq_msg_entry entry;
  ssize_t status;
  while ((status = fi_cq_read(pair->initiator.cq, &entry, 1)) == -FI_EAGAIN) {
    expect(fi_cq_read(pair->target.cq, NULL, 0), -FI_EAGAIN);
  }
  if (status == 1) {
    return 0;
  }
  expect(status, -FI_EAVAIL);
  expect(fi_cq_readerr(pair->initiator.cq, error, 0), 1);
  return error->err;
}

int write_outcome(struct pair *pair, size_t length, uint64_t offset, uint64_t key) {
  struct fi_cq_err_entry error = {0};
  write_to(pair, source, length, offset, key, source);
  return outcome(pair, &error);
}

int read_outcome(struct pair *pair, size_t length, uint64_t offset, uint64_t key) {
  struct fi_cq_err_entry error = {0};
  expect(fi_read(pair->initiator.ep, source, length, NULL, pair->to, offset, key, source), 0);
  return outcome(pair, &error);
}

int provider_error(struct pair *pair, size_t length, uint64_t offset, uint64_t key) {
  struct fi_cq_err_entry error = {0};
  write_to(pair, source, length, offset, key, source);
  expect(outcome(pair, &error), FI_EIO);
  expect(error.op_context == source, true);
  return error.prov_errno;
}

struct sim_counts *counts(void) {
  static struct sim_counts *mapped;
  if (mapped == NULL) {
    int fd = open(getenv("FI_CXI_SIM_COUNTS"), O_RDWR);
    expect(fd >= 0 && ftruncate(fd, SIM_COUNTS_SIZE) == 0, true);
    mapped = mmap(NULL, SIM_COUNTS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect(mapped != MAP_FAILED, true);
    close(fd);
  }
  return mapped;
}

long long counted(enum sim_counter counter) { return (long long)counts()->counters[counter]; }

void set_fault(enum sim_fault fault, enum sim_fault_mode mode, uint64_t n) {
  counts()->faults[fault].n = n;
  counts()->faults[fault].mode = mode;
}
