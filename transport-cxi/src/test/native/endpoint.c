/* Endpoints: what is bound to one, and from when on it works. */
#include "sim.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct sim_endpoint *endpoint_of(struct fid *fid) {
  return sim_container(fid, struct sim_endpoint, fid.fid);
}

/* --- binding --- */

static int bind_cq_locked(struct sim_endpoint *endpoint, struct sim_cq *cq, uint64_t flags) {
  const uint64_t known = FI_TRANSMIT | FI_RECV | FI_SELECTIVE_COMPLETION;
  if (cq->domain != endpoint->domain || (flags & ~known) != 0 ||
      ((flags & FI_TRANSMIT) != 0 && endpoint->tx_cq != NULL) ||
      ((flags & FI_RECV) != 0 && endpoint->rx_cq != NULL)) {
    return -FI_EINVAL;
  }
  if ((flags & FI_TRANSMIT) != 0) {
    endpoint->tx_cq = cq;
    endpoint->selective = (flags & FI_SELECTIVE_COMPLETION) != 0;
    atomic_fetch_add(&cq->users, 1);
  }
  if ((flags & FI_RECV) != 0) {
    endpoint->rx_cq = cq;
    atomic_fetch_add(&cq->users, 1);
  }
  return 0;
}

static int bind_locked(struct sim_endpoint *endpoint, struct fid *other, uint64_t flags) {
  if (endpoint->enabled) {
    return -FI_EINVAL;
  }
  switch (other->fclass) {
    case FI_CLASS_CQ:
      return bind_cq_locked(endpoint, sim_container(other, struct sim_cq, fid.fid), flags);
    case FI_CLASS_AV: {
      struct sim_av *av = sim_container(other, struct sim_av, fid.fid);
      if (av->domain != endpoint->domain || endpoint->av != NULL) {
        return -FI_EINVAL;
      }
      endpoint->av = av;
      atomic_fetch_add(&av->users, 1);
      return 0;
    }
    case FI_CLASS_EQ: {
      struct sim_eq *eq = sim_container(other, struct sim_eq, fid.fid);
      if (endpoint->eq != NULL) {
        return -FI_EINVAL;
      }
      endpoint->eq = eq;
      atomic_fetch_add(&eq->users, 1);
      return 0;
    }
    default:
      return -FI_EINVAL;
  }
}

static int endpoint_bind(struct fid *fid, struct fid *other, uint64_t flags) {
  struct sim_endpoint *endpoint = endpoint_of(fid);
  pthread_mutex_lock(&endpoint->domain->lock);
  int status = bind_locked(endpoint, other, flags);
  pthread_mutex_unlock(&endpoint->domain->lock);
  return status;
}

/* --- enabling --- */

static int open_inner_locked(struct sim_endpoint *endpoint) {
  struct sim_domain *domain = endpoint->domain;
  struct fi_cq_attr attr = {
      .size = 4096, .format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_FD};
  struct sockaddr_in name;
  size_t length = sizeof name;
  int status = fi_cq_open(domain->inner, &attr, &endpoint->inner_cq, NULL);
  if (status == 0) {
    status = fi_endpoint(domain->inner, domain->inner_info, &endpoint->inner, NULL);
  }
  if (status == 0) {
    status = fi_ep_bind(endpoint->inner, &endpoint->inner_cq->fid, FI_TRANSMIT | FI_RECV);
  }
  if (status == 0) {
    status = fi_ep_bind(endpoint->inner, &endpoint->av->inner->fid, 0);
  }
  if (status == 0) {
    status = fi_enable(endpoint->inner);
  }
  if (status == 0) {
    status = fi_getname(&endpoint->inner->fid, &name, &length);
  }
  if (status == 0) {
    sim_address_encode(endpoint->address, &name, domain->index);
    status = sim_progress_start_locked(endpoint);
  }
  return status;
}

static void close_inner_locked(struct sim_endpoint *endpoint) {
  if (endpoint->inner != NULL) {
    fi_close(&endpoint->inner->fid);
    endpoint->inner = NULL;
  }
  if (endpoint->inner_cq != NULL) {
    fi_close(&endpoint->inner_cq->fid);
    endpoint->inner_cq = NULL;
  }
  sim_progress_stop_locked(endpoint);
}

static int enable_locked(struct sim_endpoint *endpoint) {
  if (endpoint->enabled) {
    return 0;
  }
  if (endpoint->tx_cq == NULL) {
    return -FI_ENOCQ;
  }
  if (endpoint->av == NULL) {
    return -FI_ENOAV;
  }
  int status = open_inner_locked(endpoint);
  if (status == 0) {
    status = sim_cq_add_endpoint_locked(endpoint->tx_cq, endpoint);
  }
  if (status == 0 && endpoint->rx_cq != NULL) {
    status = sim_cq_add_endpoint_locked(endpoint->rx_cq, endpoint);
  }
  if (status != 0) {
    sim_cq_remove_endpoint_locked(endpoint->tx_cq, endpoint);
    close_inner_locked(endpoint);
    return status;
  }
  endpoint->hybrid_descriptors = endpoint->domain->hybrid_descriptors;
  endpoint->enabled = true;
  return 0;
}

static int endpoint_control(struct fid *fid, int command, void *arg) {
  struct sim_endpoint *endpoint = endpoint_of(fid);
  int status = 0;
  pthread_mutex_lock(&endpoint->domain->lock);
  switch (command) {
    case FI_ENABLE:
      status = enable_locked(endpoint);
      break;
    case FI_GETOPSFLAG:
      *(uint64_t *)arg = endpoint->op_flags | FI_TRANSMIT;
      break;
    default:
      status = -FI_EINVAL;
      break;
  }
  pthread_mutex_unlock(&endpoint->domain->lock);
  return status;
}

/* --- closing --- */

/* FI_CXI_SIM_CLOSE_MS: cxi waits up to 3 s for transmits and again for receives, with its lock. */
static void dawdle(void) {
  unsigned left = sim_environment_number("FI_CXI_SIM_CLOSE_MS", 0);
  struct timespec time = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000L};
  if (left > 0) {
    nanosleep(&time, NULL);
  }
}

static void unlink_endpoint_locked(struct sim_endpoint *endpoint) {
  struct sim_endpoint **link = &endpoint->domain->endpoints;
  while (*link != endpoint) {
    link = &(*link)->next;
  }
  *link = endpoint->next;
}

static void shut_locked(struct sim_endpoint *endpoint) {
  dawdle();
  if (endpoint->enabled) {
    sim_cq_remove_endpoint_locked(endpoint->tx_cq, endpoint);
    if (endpoint->rx_cq != NULL) {
      sim_cq_remove_endpoint_locked(endpoint->rx_cq, endpoint);
    }
    close_inner_locked(endpoint);
    sim_endpoint_forget_regions_locked(endpoint);
  }
  if (endpoint->tx_cq != NULL) {
    endpoint->tx_cq->reserved -= endpoint->used;
  }
  for (size_t i = 0; i < endpoint->lane_count; i++) {
    free(endpoint->lanes[i]);
  }
  unlink_endpoint_locked(endpoint);
}

static void release(atomic_int *users) { atomic_fetch_sub(users, 1); }

static int endpoint_close(struct fid *fid) {
  struct sim_endpoint *endpoint = endpoint_of(fid);
  struct sim_domain *domain = endpoint->domain;
  pthread_mutex_lock(&domain->lock);
  if (endpoint->bound_regions > 0) {
    pthread_mutex_unlock(&domain->lock);
    return -FI_EBUSY;
  }
  shut_locked(endpoint);
  pthread_mutex_unlock(&domain->lock);
  if (endpoint->tx_cq != NULL) {
    release(&endpoint->tx_cq->users);
  }
  if (endpoint->rx_cq != NULL) {
    release(&endpoint->rx_cq->users);
  }
  if (endpoint->av != NULL) {
    release(&endpoint->av->users);
  }
  if (endpoint->eq != NULL) {
    release(&endpoint->eq->users);
  }
  release(&domain->users);
  sim_count(SIM_ENDPOINTS, -1);
  free(endpoint->lanes);
  free(endpoint->operations);
  free(endpoint);
  return 0;
}

/* --- names and options --- */

static int endpoint_getname(struct fid *fid, void *addr, size_t *addrlen) {
  struct sim_endpoint *endpoint = endpoint_of(fid);
  size_t room = *addrlen;
  pthread_mutex_lock(&endpoint->domain->lock);
  bool enabled = endpoint->enabled;
  memcpy(addr, endpoint->address, room < SIM_ADDRESS_LENGTH ? room : SIM_ADDRESS_LENGTH);
  pthread_mutex_unlock(&endpoint->domain->lock);
  *addrlen = SIM_ADDRESS_LENGTH;
  if (!enabled) {
    return -FI_EOPBADSTATE;
  }
  return room < SIM_ADDRESS_LENGTH ? -FI_ETOOSMALL : 0;
}

static int no_setname(fid_t fid, void *addr, size_t addrlen) {
  (void)fid;
  (void)addr;
  (void)addrlen;
  return -FI_ENOSYS;
}

static int no_getpeer(struct fid_ep *ep, void *addr, size_t *addrlen) {
  (void)ep;
  (void)addr;
  (void)addrlen;
  return -FI_ENOSYS;
}

static ssize_t no_cancel(fid_t fid, void *context) {
  (void)fid;
  (void)context;
  return -FI_ENOENT; /* RMA cannot be cancelled */
}

static int endpoint_setopt(fid_t fid, int level, int name, const void *value, size_t length) {
  (void)fid;
  if (level != FI_OPT_ENDPOINT) {
    return -FI_ENOPROTOOPT;
  }
  if (name == FI_OPT_CUDA_API_PERMITTED) {
    return value != NULL && length == sizeof(bool) ? 0 : -FI_EINVAL;
  }
  return -FI_ENOPROTOOPT;
}

static int endpoint_getopt(fid_t fid, int level, int name, void *value, size_t *length) {
  (void)fid;
  (void)level;
  (void)name;
  (void)value;
  (void)length;
  return -FI_ENOPROTOOPT;
}

static struct fi_ops endpoint_fid_ops = {
    .size = sizeof(struct fi_ops),
    .close = endpoint_close,
    .bind = endpoint_bind,
    .control = endpoint_control,
    .ops_open = sim_no_ops_open,
};

static struct fi_ops_ep endpoint_ops = {
    .size = sizeof(struct fi_ops_ep),
    .cancel = no_cancel,
    .getopt = endpoint_getopt,
    .setopt = endpoint_setopt,
};

static struct fi_ops_cm endpoint_cm = {
    .size = sizeof(struct fi_ops_cm),
    .setname = no_setname,
    .getname = endpoint_getname,
    .getpeer = no_getpeer,
};

/* --- opening --- */

static int check_info(const struct sim_domain *domain, const struct fi_info *info) {
  if (info == NULL || info->ep_attr == NULL || info->tx_attr == NULL || info->rx_attr == NULL ||
      info->domain_attr == NULL || info->ep_attr->type != FI_EP_RDM ||
      sim_domain_index(info->domain_attr->name) != (int)domain->index ||
      info->tx_attr->size > SIM_TX_MOST || info->rx_attr->size > SIM_RX_MOST) {
    return -FI_EINVAL;
  }
  return 0;
}

int sim_endpoint_open(struct fid_domain *fid, struct fi_info *info, struct fid_ep **endpoint,
                      void *context) {
  struct sim_domain *domain = sim_container(fid, struct sim_domain, fid);
  int status = check_info(domain, info);
  if (status != 0) {
    return status;
  }
  struct sim_endpoint *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return -FI_ENOMEM;
  }
  made->depth = info->tx_attr->size == 0 ? SIM_TX_DEFAULT : info->tx_attr->size;
  made->operations = calloc(made->depth, sizeof *made->operations);
  if (made->operations == NULL) {
    free(made);
    return -FI_ENOMEM;
  }
  for (size_t i = made->depth; i-- > 0;) {
    made->operations[i].next = made->free_operations;
    made->free_operations = &made->operations[i];
  }
  made->fid.fid = (struct fid){.fclass = FI_CLASS_EP, .context = context, .ops = &endpoint_fid_ops};
  made->fid.ops = &endpoint_ops;
  made->fid.cm = &endpoint_cm;
  made->fid.rma = &sim_rma_ops;
  made->domain = domain;
  made->caps = info->caps;
  made->op_flags = info->tx_attr->op_flags;
  pthread_mutex_lock(&domain->lock);
  made->next = domain->endpoints;
  domain->endpoints = made;
  pthread_mutex_unlock(&domain->lock);
  atomic_fetch_add(&domain->users, 1);
  sim_count(SIM_ENDPOINTS, 1);
  *endpoint = &made->fid;
  return 0;
}
