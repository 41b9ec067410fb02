/* One endpoint of libfabric with its memory, and the loop itself. */
#include "loop.h"

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Needs what the headers above declare. */
#include <rdma/fi_cxi_ext.h>

/* The engine's defaults. */
enum { QUEUE_DEPTH = 4096, COMPLETION_DEPTH = 8192, ENTRIES = 64 };

static struct fid_fabric *fabric;
static struct fid_domain *domain;
static struct fid_av *addresses;
static struct fid_cq *queue;
static struct fid_ep *endpoint;
static struct fid_mr *registration;
static void *descriptor;
static uint8_t *memory;
static struct target own;
static fi_addr_t peer;
static struct target remote;
static struct fi_context2 contexts[MOST_OPERATIONS];

static void must(const char *call, int result) {
  if (result != 0) {
    die("%s: %s", call, fi_strerror(-result));
  }
}

static struct fi_info *found(const char *provider, const char *source, bool depths) {
  struct fi_info *hints = fi_allocinfo();
  struct fi_info *info = NULL;
  if (hints == NULL) {
    die("no memory");
  }
  hints->fabric_attr->prov_name = strdup(provider);
  hints->caps = FI_RMA | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_RDM;
  hints->domain_attr->mr_mode =
      FI_MR_ENDPOINT | FI_MR_PROV_KEY | FI_MR_ALLOCATED | FI_MR_VIRT_ADDR | FI_MR_LOCAL;
  hints->domain_attr->threading = FI_THREAD_SAFE;
  hints->domain_attr->av_type = FI_AV_TABLE;
  hints->domain_attr->resource_mgmt = FI_RM_ENABLED;
  hints->tx_attr->op_flags = FI_DELIVERY_COMPLETE | FI_COMPLETION;
  if (depths) {
    hints->tx_attr->size = QUEUE_DEPTH;
    hints->rx_attr->size = QUEUE_DEPTH;
  }
  int result = fi_getinfo(FI_VERSION(2, 1), source, NULL, source == NULL ? 0 : FI_SOURCE, hints,
                          &info);
  fi_freeinfo(hints);
  if (result == -FI_ENODATA && depths) {
    return found(provider, source, false);
  }
  must("fi_getinfo", result);
  return info;
}

/* What other providers than cxi do not have, they refuse, as they do for the engine. */
static void prepare_registrations(void) {
  struct fi_cxi_dom_ops *operations = NULL;
  if (fi_open_ops(&domain->fid, FI_CXI_DOM_OPS_3, 0, (void **)&operations, NULL) == 0 &&
      operations != NULL && operations->enable_hybrid_mr_desc != NULL) {
    operations->enable_hybrid_mr_desc(&domain->fid, true);
  }
  bool on = true;
  bool off = false;
  fi_control(&domain->fid, FI_OPT_CXI_SET_MR_MATCH_EVENTS, &on);
  fi_control(&domain->fid, FI_OPT_CXI_SET_OPTIMIZED_MRS, &off);
  fi_control(&domain->fid, FI_OPT_CXI_SET_PROV_KEY_CACHE, &off);
}

static void register_memory(const struct fi_info *info, size_t length) {
  const size_t huge = 2 << 20;
  size_t size = (length + huge - 1) / huge * huge;
  memory = aligned_alloc(huge, size);
  if (memory == NULL) {
    die("no memory of %zu bytes", size);
  }
  /* As the engine's allocation does; where it is refused, pages are small. */
  madvise(memory, size, MADV_HUGEPAGE);
  memset(memory, 1, size);
  must("fi_mr_reg", fi_mr_reg(domain, memory, length,
                              FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE, 0, 100, 0,
                              &registration, NULL));
  if ((info->domain_attr->mr_mode & FI_MR_ENDPOINT) != 0) {
    must("fi_mr_bind", fi_mr_bind(registration, &endpoint->fid, 0));
    must("fi_mr_enable", fi_mr_enable(registration));
  }
  descriptor = fi_mr_desc(registration);
  own.key = fi_mr_key(registration);
  own.first = (info->domain_attr->mr_mode & FI_MR_VIRT_ADDR) != 0 ? (uintptr_t)memory : 0;
}

void open_endpoint(const char *provider, const char *source, size_t length) {
  struct fi_info *info = found(provider, source, true);
  struct fi_cq_attr cq = {
      .size = COMPLETION_DEPTH, .format = FI_CQ_FORMAT_CONTEXT, .wait_obj = FI_WAIT_FD};
  struct fi_av_attr av = {.type = FI_AV_TABLE};
  must("fi_fabric", fi_fabric(info->fabric_attr, &fabric, NULL));
  must("fi_domain", fi_domain(fabric, info, &domain, NULL));
  prepare_registrations();
  must("fi_av_open", fi_av_open(domain, &av, &addresses, NULL));
  must("fi_cq_open", fi_cq_open(domain, &cq, &queue, NULL));
  must("fi_endpoint", fi_endpoint(domain, info, &endpoint, NULL));
  must("fi_ep_bind", fi_ep_bind(endpoint, &addresses->fid, 0));
  must("fi_ep_bind", fi_ep_bind(endpoint, &queue->fid, FI_TRANSMIT | FI_RECV));
  must("fi_enable", fi_enable(endpoint));
  own.address_length = sizeof own.address;
  must("fi_getname", fi_getname(&endpoint->fid, own.address, &own.address_length));
  register_memory(info, length);
  fi_freeinfo(info);
}

struct target own_target(void) { return own; }

void connect_to(const struct target *target) {
  remote = *target;
  if (fi_av_insert(addresses, remote.address, 1, &peer, 0, NULL) != 1) {
    die("fi_av_insert takes no such address");
  }
}

/* Reads what has ended; how many that were. */
static size_t take_completions(void) {
  struct fi_cq_entry entries[ENTRIES];
  ssize_t count = fi_cq_read(queue, entries, ENTRIES);
  if (count >= 0) {
    return (size_t)count;
  }
  if (count != -FI_EAGAIN) {
    die("fi_cq_read: %s", fi_strerror((int)-count));
  }
  return 0;
}

void make_progress(void) {
  if (take_completions() != 0) {
    die("a target has posted nothing, and something has ended");
  }
}

static bool post(bool write, size_t bytes, size_t index) {
  size_t offset = index * bytes;
  ssize_t result =
      write ? fi_write(endpoint, memory + offset, bytes, descriptor, peer, remote.first + offset,
                       remote.key, &contexts[index])
            : fi_read(endpoint, memory + offset, bytes, descriptor, peer, remote.first + offset,
                      remote.key, &contexts[index]);
  if (result != 0 && result != -FI_EAGAIN) {
    die("a post: %s", fi_strerror((int)-result));
  }
  return result == 0;
}

void run_call(bool write, size_t bytes, size_t operations, size_t window, bool yields) {
  size_t posted = 0;
  size_t ended = 0;
  while (ended < operations) {
    while (posted < operations && posted - ended < window && post(write, bytes, posted)) {
      posted++;
    }
    size_t taken = take_completions();
    ended += taken;
    if (taken == 0 && yields) {
      sched_yield();
    }
  }
}
