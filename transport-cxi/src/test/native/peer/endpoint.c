/* One endpoint of libfabric's provider cxi, and a thread that keeps it moving. */
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_rma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ADDRESS_BYTES = 64, LOOK_AGAIN_MS = 10 };

struct region {
  struct fid_mr *registration;
  uint8_t *at;
  size_t length;
};

struct operation {
  struct fi_context2 context; /* first: its address is the operation's */
  bool over;
  int error;
};

/* Guards all calls of libfabric and what is below. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct fid_fabric *fabric;
static struct fid_domain *domain;
static struct fid_av *addresses;
static struct fid_cq *queue;
static struct fid_ep *endpoint;
static uint8_t own_address[ADDRESS_BYTES];
static size_t own_address_length = ADDRESS_BYTES;
static int queue_fd;
static int posted_fd;

static void must(const char *call, int result) {
  if (result != 0) {
    die("%s: %s", call, fi_strerror(-result));
  }
}

/* Reads what has ended; returns false if nothing had. */
static bool take_completion(void) {
  struct fi_cq_entry entry;
  ssize_t count = fi_cq_read(queue, &entry, 1);
  if (count == -FI_EAGAIN) {
    return false;
  }
  struct operation *operation;
  if (count == 1) {
    operation = entry.op_context;
  } else if (count == -FI_EAVAIL) {
    struct fi_cq_err_entry failed = {0};
    if (fi_cq_readerr(queue, &failed, 0) != 1) {
      die("fi_cq_readerr has nothing");
    }
    operation = failed.op_context;
    operation->error = failed.err;
  } else {
    die("fi_cq_read: %s", fi_strerror((int)-count));
  }
  operation->over = true;
  pthread_cond_broadcast(&changed);
  return true;
}

/* cxi makes progress only while its queue is read, also as a target. */
static void *keep_moving(void *unused) {
  (void)unused;
  struct fid *waited = &queue->fid;
  for (;;) {
    pthread_mutex_lock(&lock);
    while (take_completion()) {
    }
    bool idle = fi_trywait(fabric, &waited, 1) == 0;
    pthread_mutex_unlock(&lock);
    struct pollfd polled[2] = {{.fd = queue_fd, .events = POLLIN},
                               {.fd = posted_fd, .events = POLLIN}};
    if (idle && poll(polled, 2, LOOK_AGAIN_MS) > 0 && polled[1].revents != 0) {
      uint64_t count;
      if (read(posted_fd, &count, sizeof count) != sizeof count) {
        die("an eventfd cannot be read");
      }
    }
  }
}

void open_endpoint(void) {
  struct fi_info *hints = fi_allocinfo();
  struct fi_info *info = NULL;
  if (hints == NULL) {
    die("no memory");
  }
  hints->caps = FI_RMA;
  hints->mode = FI_CONTEXT2;
  hints->ep_attr->type = FI_EP_RDM;
  hints->domain_attr->mr_mode = FI_MR_ENDPOINT | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
  hints->tx_attr->op_flags = FI_DELIVERY_COMPLETE | FI_COMPLETION;
  hints->fabric_attr->prov_name = strdup("cxi");
  must("fi_getinfo", fi_getinfo(FI_VERSION(2, 0), NULL, NULL, 0, hints, &info));
  fi_freeinfo(hints);
  struct fi_cq_attr cq = {.format = FI_CQ_FORMAT_CONTEXT, .wait_obj = FI_WAIT_FD};
  struct fi_av_attr av = {.type = FI_AV_TABLE};
  must("fi_fabric", fi_fabric(info->fabric_attr, &fabric, NULL));
  must("fi_domain", fi_domain(fabric, info, &domain, NULL));
  must("fi_cq_open", fi_cq_open(domain, &cq, &queue, NULL));
  must("fi_av_open", fi_av_open(domain, &av, &addresses, NULL));
  must("fi_endpoint", fi_endpoint(domain, info, &endpoint, NULL));
  must("fi_ep_bind", fi_ep_bind(endpoint, &queue->fid, FI_TRANSMIT | FI_RECV));
  must("fi_ep_bind", fi_ep_bind(endpoint, &addresses->fid, 0));
  must("fi_enable", fi_enable(endpoint));
  must("fi_getname", fi_getname(&endpoint->fid, own_address, &own_address_length));
  must("FI_GETWAIT", fi_control(&queue->fid, FI_GETWAIT, &queue_fd));
  fi_freeinfo(info);
  posted_fd = eventfd(0, EFD_CLOEXEC);
  pthread_t thread;
  if (posted_fd < 0 || pthread_create(&thread, NULL, keep_moving, NULL) != 0) {
    die("no thread can be started");
  }
}

struct bytes endpoint_address(void) { return (struct bytes){own_address, own_address_length}; }

struct region *register_region(size_t length) {
  const uint64_t access = FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE;
  struct region *made = allocated(sizeof *made);
  made->length = length;
  made->at = allocated(length);
  memset(made->at, 0, length);
  pthread_mutex_lock(&lock);
  must("fi_mr_reg",
       fi_mr_reg(domain, made->at, length, access, 0, 0, 0, &made->registration, NULL));
  must("fi_mr_bind", fi_mr_bind(made->registration, &endpoint->fid, 0));
  must("fi_mr_enable", fi_mr_enable(made->registration));
  pthread_mutex_unlock(&lock);
  return made;
}

uint8_t *region_bytes(const struct region *region) { return region->at; }

size_t region_length(const struct region *region) { return region->length; }

uint64_t region_key(const struct region *region) { return fi_mr_key(region->registration); }

uint64_t insert_address(const uint8_t *address) {
  fi_addr_t made = FI_ADDR_NOTAVAIL;
  pthread_mutex_lock(&lock);
  int count = fi_av_insert(addresses, address, 1, &made, 0, NULL);
  pthread_mutex_unlock(&lock);
  if (count != 1) {
    die("a handshake has an address that the provider refuses");
  }
  return made;
}

int run_operation(bool write_it, const struct region *local, size_t offset, size_t length,
                  uint64_t peer, uint64_t remote_offset, uint64_t key) {
  struct operation operation = {.over = false};
  void *descriptor = fi_mr_desc(local->registration);
  uint8_t *at = local->at + offset;
  ssize_t result;
  pthread_mutex_lock(&lock);
  do {
    result = write_it ? fi_write(endpoint, at, length, descriptor, peer, remote_offset, key,
                                 &operation.context)
                      : fi_read(endpoint, at, length, descriptor, peer, remote_offset, key,
                                &operation.context);
  } while (result == -FI_EAGAIN && (take_completion() || true));
  must("a post", (int)result);
  uint64_t one = 1;
  if (write(posted_fd, &one, sizeof one) != sizeof one) {
    die("an eventfd cannot be written");
  }
  while (!operation.over) {
    pthread_cond_wait(&changed, &lock);
  }
  pthread_mutex_unlock(&lock);
  return operation.error;
}
