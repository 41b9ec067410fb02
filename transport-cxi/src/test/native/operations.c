/* RMA at the initiator: what a post checks, and how an operation ends. */
#include "sim.h"

#include <string.h>

#define PROVIDER_KEY (1ull << 63)
#define CLIENT_KEY_MOST 0xffffffffull
/* Offsets have 56 bits in cxi's commands. */
#define OFFSET_MOST ((1ull << 56) - 1)
#define MESSAGE_FLAGS                                                                              \
  (FI_INJECT | FI_COMPLETION | FI_INJECT_COMPLETE | FI_TRANSMIT_COMPLETE | FI_DELIVERY_COMPLETE |  \
   FI_MATCH_COMPLETE | FI_MORE | FI_FENCE)

/* --- the table of operations --- */

struct sim_operation *sim_operation_find_locked(struct sim_endpoint *endpoint, uint32_t slot,
                                                uint32_t generation) {
  if (slot >= endpoint->depth) {
    return NULL;
  }
  struct sim_operation *operation = &endpoint->operations[slot];
  return operation->used && operation->generation == generation ? operation : NULL;
}

static struct sim_operation *take_locked(struct sim_endpoint *endpoint) {
  struct sim_operation *operation = endpoint->free_operations;
  endpoint->free_operations = operation->next;
  endpoint->used++;
  endpoint->tx_cq->reserved++;
  uint32_t generation = operation->generation + 1;
  memset(operation, 0, offsetof(struct sim_operation, inject));
  operation->generation = generation;
  operation->used = true;
  return operation;
}

static void give_back_locked(struct sim_endpoint *endpoint, struct sim_operation *operation) {
  operation->used = false;
  operation->next = endpoint->free_operations;
  endpoint->free_operations = operation;
  endpoint->used--;
}

static void unqueue_locked(struct sim_operation *operation) {
  struct sim_lane *lane = operation->lane;
  struct sim_operation *before = NULL;
  struct sim_operation *each = lane->first;
  while (each != operation) {
    before = each;
    each = each->next;
  }
  if (before == NULL) {
    lane->first = operation->next;
  } else {
    before->next = operation->next;
  }
  if (lane->last == operation) {
    lane->last = before;
  }
  operation->queued = false;
}

void sim_operation_finish_locked(struct sim_endpoint *endpoint, struct sim_operation *operation) {
  if (operation->queued || operation->waiting > 0 || operation->sending > 0) {
    return;
  }
  struct sim_entry entry = {
      .context = operation->context,
      .flags = FI_RMA | (operation->write ? FI_WRITE : FI_READ),
      .length = operation->length,
      .prov_errno = operation->status,
  };
  if (operation->status != SIM_OK) {
    entry.error = operation->status == SIM_ERROR_UNREACHABLE ? FI_EHOSTUNREACH : FI_EIO;
  }
  operation->lane->operations--;
  if (!operation->lost && (entry.error != 0 || operation->report)) {
    sim_cq_push_locked(endpoint->tx_cq, &entry);
  } else {
    endpoint->tx_cq->reserved--;
  }
  give_back_locked(endpoint, operation);
}

void sim_operation_fail_locked(struct sim_endpoint *endpoint, struct sim_operation *operation,
                               enum sim_error status) {
  if (operation->status == SIM_OK) {
    operation->status = status;
  }
  if (operation->queued) {
    unqueue_locked(operation);
  }
  /* Answers that still come find no operation, or are not waited for. */
  if (status == SIM_ERROR_GONE || status == SIM_ERROR_UNREACHABLE) {
    endpoint->window -= operation->waiting;
    operation->waiting = 0;
  }
  sim_operation_finish_locked(endpoint, operation);
}

void sim_endpoint_gone_locked(struct sim_endpoint *endpoint) {
  endpoint->gone = true;
  for (size_t i = 0; i < endpoint->depth; i++) {
    if (endpoint->operations[i].used) {
      sim_operation_fail_locked(endpoint, &endpoint->operations[i], SIM_ERROR_GONE);
    }
  }
  if (endpoint->eq != NULL) {
    sim_eq_endpoint_gone(endpoint->eq, &endpoint->fid.fid);
  }
}

/* --- posting --- */

struct request {
  bool write;
  const void *buffer;
  size_t length;
  void *descriptor;
  fi_addr_t to;
  uint64_t offset;
  uint64_t key;
  uint64_t flags;
  void *context;
};

static ssize_t again(void) {
  sim_count(SIM_EAGAINS, 1);
  return -FI_EAGAIN;
}

static ssize_t check_request(const struct sim_endpoint *endpoint, const struct request *request) {
  if (request->length > 0 && request->buffer == NULL) {
    return -FI_EINVAL;
  }
  if (request->length > SIM_MESSAGE_MOST ||
      ((request->flags & FI_INJECT) != 0 && request->length > SIM_INJECT)) {
    return -FI_EMSGSIZE;
  }
  if ((request->key & PROVIDER_KEY) == 0 && request->key > CLIENT_KEY_MOST) {
    return -FI_EKEYREJECTED;
  }
  if (request->offset > OFFSET_MOST ||
      ((request->flags & FI_FENCE) != 0 && (endpoint->caps & FI_FENCE) == 0)) {
    return -FI_EINVAL;
  }
  return 0;
}

static ssize_t check_descriptor_locked(struct sim_endpoint *endpoint,
                                       const struct request *request) {
  if ((request->flags & FI_INJECT) != 0) {
    return 0;
  }
  if (request->descriptor != NULL && endpoint->hybrid_descriptors) {
    if (!sim_descriptor_covers_locked(endpoint->domain, request->descriptor, request->buffer,
                                      request->length)) {
      sim_count(SIM_DESCRIPTORS_BAD, 1);
      return -FI_EINVAL;
    }
    sim_count(SIM_DESCRIPTORS_USED, 1);
    return 0;
  }
  if (request->descriptor != NULL) {
    sim_count(SIM_DESCRIPTORS_IGNORED, 1);
  }
  sim_count(SIM_INTERNAL_MAPPINGS, 1);
  return 0;
}

static ssize_t post_locked(struct sim_endpoint *endpoint, const struct request *request) {
  if (endpoint->gone) {
    return -FI_ENODEV;
  }
  ssize_t status = check_request(endpoint, request);
  if (status != 0) {
    return status;
  }
  struct sim_peer *peer = sim_av_find_locked(endpoint->av, request->to);
  if (peer == NULL) {
    return -FI_EINVAL;
  }
  if (sim_fault_strikes(SIM_FAULT_GONE)) {
    sim_endpoint_gone_locked(endpoint);
    return -FI_ENODEV;
  }
  if (sim_fault_strikes(SIM_FAULT_POST_ERROR)) {
    return -FI_EIO;
  }
  if (sim_fault_strikes(SIM_FAULT_EAGAIN) || endpoint->used == endpoint->depth ||
      endpoint->tx_cq->reserved == endpoint->tx_cq->size) {
    return again();
  }
  struct sim_lane *lane = sim_lane_locked(endpoint, peer);
  if (lane == NULL) {
    return again();
  }
  status = check_descriptor_locked(endpoint, request);
  if (status != 0) {
    return status;
  }

  struct sim_operation *operation = take_locked(endpoint);
  operation->lane = lane;
  operation->write = request->write;
  operation->report = (request->flags & FI_COMPLETION) != 0;
  operation->buffer = (char *)(uintptr_t)request->buffer;
  operation->length = request->length;
  operation->offset = request->offset;
  operation->key = request->key;
  operation->context = request->context;
  if ((request->flags & FI_INJECT) != 0 && request->length > 0) {
    memcpy(operation->inject, request->buffer, request->length);
    operation->buffer = operation->inject;
  }
  lane->operations++;
  sim_count(request->write ? SIM_WRITES : SIM_READS, 1);
  if (sim_fault_strikes(SIM_FAULT_CQ_ERROR)) {
    sim_operation_fail_locked(endpoint, operation, SIM_ERROR_INJECTED);
    return 0;
  }
  operation->lost = sim_fault_strikes(SIM_FAULT_LOST_COMPLETION);
  operation->queued = true;
  if (lane->last == NULL) {
    lane->first = operation;
  } else {
    lane->last->next = operation;
  }
  lane->last = operation;
  if ((request->flags & FI_MORE) == 0) {
    sim_pump_locked(endpoint);
  }
  sim_cq_posted_locked(endpoint->tx_cq);
  return 0;
}

static ssize_t post(struct fid_ep *fid, const struct request *request) {
  struct sim_endpoint *endpoint = sim_container(fid, struct sim_endpoint, fid);
  pthread_mutex_lock(&endpoint->domain->lock);
  ssize_t status;
  if (endpoint->enabled) {
    status = post_locked(endpoint, request);
  } else {
    sim_count(SIM_RMA_BEFORE_ENABLE, 1);
    status = -FI_ENOSYS; /* what cxi's table of an endpoint that is not enabled answers */
  }
  pthread_mutex_unlock(&endpoint->domain->lock);
  return status;
}

/* --- libfabric's forms of the two --- */

static uint64_t default_flags(struct fid_ep *fid) {
  const struct sim_endpoint *endpoint = sim_container(fid, struct sim_endpoint, fid);
  return endpoint->op_flags | (endpoint->selective ? 0 : FI_COMPLETION);
}

static ssize_t rma_read(struct fid_ep *ep, void *buf, size_t len, void *desc, fi_addr_t from,
                        uint64_t addr, uint64_t key, void *context) {
  struct request request = {false, buf, len, desc, from, addr, key, default_flags(ep) & ~FI_INJECT,
                            context};
  return post(ep, &request);
}

static ssize_t rma_write(struct fid_ep *ep, const void *buf, size_t len, void *desc, fi_addr_t to,
                         uint64_t addr, uint64_t key, void *context) {
  struct request request = {true, buf, len, desc, to, addr, key, default_flags(ep), context};
  return post(ep, &request);
}

static ssize_t rma_readv(struct fid_ep *ep, const struct iovec *iov, void **desc, size_t count,
                         fi_addr_t from, uint64_t addr, uint64_t key, void *context) {
  if (count > 1 || (count == 1 && iov == NULL)) {
    return -FI_EINVAL;
  }
  return rma_read(ep, count == 0 ? NULL : iov->iov_base, count == 0 ? 0 : iov->iov_len,
                  desc == NULL || count == 0 ? NULL : desc[0], from, addr, key, context);
}

static ssize_t rma_writev(struct fid_ep *ep, const struct iovec *iov, void **desc, size_t count,
                          fi_addr_t to, uint64_t addr, uint64_t key, void *context) {
  if (count > 1 || (count == 1 && iov == NULL)) {
    return -FI_EINVAL;
  }
  return rma_write(ep, count == 0 ? NULL : iov->iov_base, count == 0 ? 0 : iov->iov_len,
                   desc == NULL || count == 0 ? NULL : desc[0], to, addr, key, context);
}

static ssize_t post_message(struct fid_ep *ep, const struct fi_msg_rma *msg, uint64_t flags,
                            bool write) {
  const struct sim_endpoint *endpoint = sim_container(ep, struct sim_endpoint, fid);
  if (msg == NULL || msg->rma_iov_count != 1 || msg->iov_count > 1 ||
      (msg->iov_count == 1 && msg->msg_iov == NULL)) {
    return -FI_EINVAL;
  }
  uint64_t allowed = write ? MESSAGE_FLAGS : MESSAGE_FLAGS & ~(uint64_t)FI_INJECT;
  if ((flags & ~allowed) != 0) {
    return -FI_EBADFLAGS;
  }
  bool empty = msg->iov_count == 0;
  struct request request = {
      .write = write,
      .buffer = empty ? NULL : msg->msg_iov->iov_base,
      .length = empty ? 0 : msg->msg_iov->iov_len,
      .descriptor = empty || msg->desc == NULL ? NULL : msg->desc[0],
      .to = msg->addr,
      .offset = msg->rma_iov->addr,
      .key = msg->rma_iov->key,
      .flags = flags | (endpoint->selective ? 0 : FI_COMPLETION),
      .context = msg->context,
  };
  return post(ep, &request);
}

static ssize_t rma_readmsg(struct fid_ep *ep, const struct fi_msg_rma *msg, uint64_t flags) {
  return post_message(ep, msg, flags, false);
}

static ssize_t rma_writemsg(struct fid_ep *ep, const struct fi_msg_rma *msg, uint64_t flags) {
  return post_message(ep, msg, flags, true);
}

static ssize_t rma_inject(struct fid_ep *ep, const void *buf, size_t len, fi_addr_t to,
                          uint64_t addr, uint64_t key) {
  struct request request = {true, buf, len, NULL, to, addr, key, FI_INJECT, NULL};
  return post(ep, &request);
}

/* As cxi. */
static ssize_t no_writedata(struct fid_ep *ep, const void *buf, size_t len, void *desc,
                            uint64_t data, fi_addr_t to, uint64_t addr, uint64_t key,
                            void *context) {
  (void)ep;
  (void)buf;
  (void)len;
  (void)desc;
  (void)data;
  (void)to;
  (void)addr;
  (void)key;
  (void)context;
  return -FI_ENOSYS;
}

static ssize_t no_injectdata(struct fid_ep *ep, const void *buf, size_t len, uint64_t data,
                             fi_addr_t to, uint64_t addr, uint64_t key) {
  return no_writedata(ep, buf, len, NULL, data, to, addr, key, NULL);
}

struct fi_ops_rma sim_rma_ops = {
    .size = sizeof(struct fi_ops_rma),
    .read = rma_read,
    .readv = rma_readv,
    .readmsg = rma_readmsg,
    .write = rma_write,
    .writev = rma_writev,
    .writemsg = rma_writemsg,
    .inject = rma_inject,
    .writedata = no_writedata,
    .injectdata = no_injectdata,
};
